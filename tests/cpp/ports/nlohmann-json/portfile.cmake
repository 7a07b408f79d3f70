find_path(here nlohmann/json.hpp PATHS /usr/include /usr/local/include NO_DEFAULT_PATH REQUIRED)
file(INSTALL "${here}/nlohmann" DESTINATION "${CURRENT_PACKAGES_DIR}/include")
file(WRITE "${CURRENT_PACKAGES_DIR}/share/${PORT}/copyright" "MIT\n")
