"""Conan's recipe: `conan create export/cpp`, in a checkout.

ONNX Runtime is loaded at run time; only its headers are needed here, from the usual places or from the folder named by
`-c user.mirrorkit:onnxruntime=FOLDER`. With `-o "&:link_onnxruntime=True"` it is Conan's own package, linked.
"""

from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd, stdcpp_library
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rmdir

required_conan_version = ">=2.0"


class Mirrorkit(ConanFile):
    """libmirrorkit, static unless `shared` says otherwise."""

    name = "mirrorkit"
    description = "Sentence vectors from an exported bundle, in C and C++"
    license = "Apache-2.0"
    topics = ("embeddings", "onnx", "nlp")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False], "link_onnxruntime": [True, False]}  # noqa: RUF012
    default_options = {"shared": False, "fPIC": True, "link_onnxruntime": False}  # noqa: RUF012
    implements = ("auto_shared_fpic",)
    exports = "VERSION"
    exports_sources = ("CMakeLists.txt", "VERSION", "LICENSE", "NOTICE.txt", "cmake/*", "include/*", "ops/*", "src/*")
    test_package_folder = "packages/conan"

    def set_version(self):
        self.version = load(self, str(Path(self.recipe_folder) / "VERSION")).strip()

    def validate(self):
        check_min_cppstd(self, 17)

    def requirements(self):
        self.requires("nlohmann_json/[>=3.9 <4]", visible=False)
        if self.options.link_onnxruntime:
            self.requires("onnxruntime/[>=1.17 <2]")

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["MIRRORKIT_BUILD_CLI"] = False
        toolchain.cache_variables["MIRRORKIT_LINK_ONNXRUNTIME"] = bool(self.options.link_onnxruntime)
        headers = self.conf.get("user.mirrorkit:onnxruntime")
        if self.options.link_onnxruntime:
            headers = self.dependencies["onnxruntime"].package_folder
        if headers:
            toolchain.cache_variables["ORT_ROOT"] = headers
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        for name in ("LICENSE", "NOTICE.txt"):
            copy(self, name, self.source_folder, str(Path(self.package_folder) / "licenses"))
        rmdir(self, str(Path(self.package_folder) / "lib" / "cmake"))  # Conan writes its own
        rmdir(self, str(Path(self.package_folder) / "lib" / "pkgconfig"))

    def package_info(self):
        self.cpp_info.libs = ["mirrorkit"]
        if self.options.shared:
            return
        self.cpp_info.defines = ["MIRRORKIT_STATIC"]
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["m", "dl"]
        runtime = stdcpp_library(self)  # of a program in C
        if runtime:
            self.cpp_info.system_libs.append(runtime)
