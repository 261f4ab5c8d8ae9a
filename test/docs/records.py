"""Demands of every op, type, attribute and pass a summary, a description and an example, and of
every operand and option a sentence.

usage: records.py SOURCE_FOLDER LLVM_TBLGEN MLIR_INCLUDE_FOLDER
"""

import json
import pathlib
import subprocess
import sys

OURS = ("nn", "moe", "exec", "check")


def records(tblgen, source, include, file):
    command = [tblgen, "--dump-json", "-I", str(source), "-I", include, str(file)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def instances(dump, name):
    return [dump[key] for key in dump["!instanceof"].get(name, [])]


def ours(record):
    dialect = record.get("opDialect") or record.get("dialect")
    prefixes = ("NN_", "Moe_", "Exec_", "Check_")
    return dialect is not None and dialect["def"].startswith(prefixes)


def check_text(name, record, problems, example=True):
    summary, description = record.get("summary") or "", record.get("description") or ""
    if not summary.endswith("."):
        problems.append("%s: the summary is no sentence: '%s'" % (name, summary))
    if not description.strip():
        problems.append("%s: no description" % name)
    if example and "```mlir" not in description:
        problems.append("%s: the description has no example" % name)


def check_op(dump, op, problems):
    name = op["!name"]
    check_text(name, op, problems)
    for kind in ("arguments", "results"):
        for value, label in op[kind]["args"]:
            record = dump[value["def"]]
            is_operand = "TypeConstraint" in record["!superclasses"] or "OpVariable" in record["!superclasses"]
            if is_operand and not record.get("summary") and "Attr" not in record["!superclasses"]:
                problems.append("%s: `%s` has no sentence" % (name, label))


def main():
    source, tblgen, include = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    problems, counts = [], {"ops": 0, "types and attributes": 0, "passes": 0}
    for file in ("nn/NNOps.td", "moe/MoeOps.td", "exec/ExecOps.td", "check/CheckOps.td"):
        dump = records(tblgen, source, include, source / "dialects" / file)
        for op in filter(ours, instances(dump, "Op")):
            if op["opDialect"]["def"].split("_")[0].lower() == file.split("/")[0]:
                counts["ops"] += 1
                check_op(dump, op, problems)
        for record in filter(ours, instances(dump, "TypeDef") + instances(dump, "AttrDef") +
                             instances(dump, "EnumAttr")):
            counts["types and attributes"] += 1
            check_text(record["!name"], record, problems)
    for folder in ("dialects", "passes", "codegen"):
        for file in sorted((source / folder).rglob("Passes.td")):
            dump = records(tblgen, source, include, file)
            for record in instances(dump, "PassBase"):
                counts["passes"] += 1
                # A pass that only verifies has nothing to show before and after.
                check_text(record["!name"], record, problems, "Verify" not in record["!name"])
                if "test/" not in record["description"]:
                    problems.append("%s: the description names no test" % record["!name"])
                for option in record["options"]:
                    if not dump[option["def"]]["description"]:
                        problems.append("%s: an option has no sentence" % record["!name"])
    for problem in problems:
        print("FAILED " + problem)
    print(", ".join("%d %s" % (number, kind) for kind, number in counts.items()))
    sys.exit(1 if problems else 0)


main()
