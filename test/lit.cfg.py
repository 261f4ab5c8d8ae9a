import os

import lit.formats

config.name = "levin"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "conformance"]  # the latter holds programs for conformance suites
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.levin_build, "test", "lit")

# LEVIN_OPT_ROUNDTRIP=1 makes every test also prove that what it reads survives
# printing, parsing and bytecode.
opt = os.path.join(config.levin_bin, "levin-opt")
if os.environ.get("LEVIN_OPT_ROUNDTRIP") == "1":
    opt += " --verify-roundtrip"


def llvm(tool):
    return os.path.join(config.llvm_tools, tool)


# Only whole words that begin a command, so that file names keep theirs.
def command(name, path):
    config.substitutions.append((r"(?<![-./\w])" + name + r"(?![-./\w])", path))


command("levin-opt", opt)
for tool in ["levin-bench", "levin-compile", "levin-import", "levin-inspect", "levin-lsp-server",
             "levin-run"]:
    command(tool, os.path.join(config.levin_bin, tool))
command("FileCheck", llvm("FileCheck") + " --enable-var-scope")
for tool in ["not", "mlir-opt", "mlir-runner", "mlir-tblgen", "llvm-tblgen"]:
    command(tool, llvm(tool))
config.substitutions += [
    ("%python", config.python),
    ("%levin_build", config.levin_build),
    ("%levin_src", config.levin_source),
    ("%llvm_include", config.llvm_include),
    ("%llvm_lib", config.llvm_lib),
    ("%llvm_tools", config.llvm_tools),
    ("%test_plugins", os.path.join(config.levin_build, "test", "plugins")),
    # From decomposed ops to what mlir-runner takes.
    (
        "%to_llvm",
        "--one-shot-bufferize='bufferize-function-boundaries "
        "function-boundary-type-conversion=identity-layout-map' "
        "--convert-linalg-to-loops --expand-strided-metadata --lower-affine --arith-expand "
        "--convert-scf-to-cf --convert-math-to-llvm --convert-math-to-libm --convert-to-llvm "
        "--reconcile-unrealized-casts",
    ),
    (
        "%run",
        llvm("mlir-runner")
        + " -e main --entry-point-result=void"
        + " --shared-libs=%s/libmlir_runner_utils.so,%s/libmlir_c_runner_utils.so"
        % (config.llvm_lib, config.llvm_lib),
    ),
]
config.environment["PYTHONDONTWRITEBYTECODE"] = "1"
for name in ("LEVIN_CUDA", "CUDA_HOME"):  # where the CUDA compiler is
    if name in os.environ:
        config.environment[name] = os.environ[name]
config.environment["CCACHE_SLOPPINESS"] = (
    "pch_defines,time_macros,include_file_mtime,include_file_ctime"
)
for name in ["HOME", "CCACHE_DIR", "LEVIN_OPT_ROUNDTRIP"]:
    if name in os.environ:
        config.environment[name] = os.environ[name]
