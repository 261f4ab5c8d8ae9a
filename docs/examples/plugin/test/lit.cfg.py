import os

import lit.formats

config.name = "count-flops"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.build, "test", "lit")
config.substitutions += [
    (r"\blevin-opt\b", config.levin_opt),
    (r"\bFileCheck\b", os.path.join(config.llvm_tools, "FileCheck")),
    ("%plugin", os.path.join(config.build, "CountFlops.so")),
]
