include(CMakePackageConfigHelpers)

install(TARGETS mirrorkit EXPORT mirrorkitTargets)
install(FILES include/mirrorkit.h include/mirrorkit.hpp TYPE INCLUDE)
install(EXPORT mirrorkitTargets NAMESPACE mirrorkit:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mirrorkit)
configure_package_config_file(cmake/mirrorkitConfig.cmake.in mirrorkitConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mirrorkit)
write_basic_package_version_file(mirrorkitConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/mirrorkitConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/mirrorkitConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mirrorkit)

# relative to the .pc file, so that an installed tree can be moved
file(RELATIVE_PATH MIRRORKIT_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
if(NOT MIRRORKIT_SHARED) # what uses a shared library need not know what that needs
  set(MIRRORKIT_PC_CFLAGS " -DMIRRORKIT_STATIC")
  set(MIRRORKIT_PC_LIBS " -l${MIRRORKIT_CXX_RUNTIME} -lm ${CMAKE_DL_LIBS}")
  string(REPLACE " dl" " -ldl" MIRRORKIT_PC_LIBS "${MIRRORKIT_PC_LIBS}")
endif()
configure_file(cmake/mirrorkit.pc.in mirrorkit.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/mirrorkit.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
