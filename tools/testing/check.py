#!/usr/bin/env python3
"""Builds everything and runs every test of the project.

Each step is a name, a sentence and a function that returns how many of its tests passed and
failed.  A step that cannot run counts as one failure.  The last line is "N passed, N failed"; the
exit status is 0 only if nothing failed.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("LEVIN_BUILD_DIR", "build")
ASAN, FUZZ = BUILD / "asan", BUILD / "fuzz"
ENV = dict(os.environ, CCACHE_SLOPPINESS="pch_defines,time_macros,include_file_mtime,include_file_ctime",
           GTEST_COLOR="no", LEVIN_OPT_ROUNDTRIP="1")


class StepFailed(Exception):
    pass


def run(*command, log=None, timeout=3000, env=ENV):
    """Runs a command; its output is shown only if it fails."""
    result = subprocess.run([str(c) for c in command], cwd=ROOT, env=env, timeout=timeout, text=True,
                            errors="replace", stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if log is not None:
        pathlib.Path(log).write_text(result.stdout)
    if result.returncode != 0:
        raise StepFailed(f"{' '.join(map(str, command))}\n" + "\n".join(result.stdout.splitlines()[-400:]))
    return result.stdout


def junit(path):
    """(passed, failed, names of the failed) of a JUnit report."""
    tests = list(xml.etree.ElementTree.parse(path).getroot().iter("testcase"))
    failed = [t for t in tests if t.find("failure") is not None or t.find("error") is not None
              or t.get("status") == "fail"]
    skipped = [t for t in tests if t.find("skipped") is not None]
    names = [f"{t.get('classname', '')}.{t.get('name')}" for t in failed]
    return len(tests) - len(failed) - len(skipped), len(failed), names


def ctest(folder, *arguments):
    report = folder / "ctest.xml"
    report.unlink(missing_ok=True)
    message = ""
    try:
        run("ctest", "--test-dir", folder, "--output-junit", report, "--output-on-failure",
            "--timeout", "900", "--parallel", os.cpu_count() or 1, *arguments)
    except StepFailed as failure:
        message = str(failure)
    if not report.exists():
        raise StepFailed(message)
    passed, failed, names = junit(report)
    if message and not failed:
        raise StepFailed(message)
    if failed:
        print("\n".join(line for line in message.splitlines()
                        if " Passed " not in line and "Start " not in line))
    return passed, failed, names


# --- steps -------------------------------------------------------------------------------------

def step_build():
    run("cmake", "--preset", "dev", "-B", BUILD, "-DLEVIN_BUILD_BENCH=ON")
    run("ninja", "-C", BUILD)
    return 1, 0, []


def step_lint():
    passed, failed, names = 0, 0, []
    for script in sorted((ROOT / "tools/lint").glob("*.py")):
        try:
            run(sys.executable, script)
            passed += 1
        except StepFailed as failure:
            print(failure)
            failed += 1
            names.append(f"lint.{script.stem}")
    return passed, failed, names


def step_tests():
    return ctest(BUILD, "-LE", "lit")


def step_lit():
    report = BUILD / "lit.xml"
    report.unlink(missing_ok=True)
    message = ""
    try:
        run(sys.executable, lit_program(), "-q", "--xunit-xml-output", report, BUILD / "test")
    except StepFailed as failure:
        message = str(failure)
        print(message)
    if not report.exists():
        raise StepFailed(message or "lit wrote no report")
    return junit(report)


def lit_program():
    for path in ("/usr/lib/llvm-22/bin/lit", "/usr/lib/llvm-22/build/utils/lit/lit.py"):
        if os.path.exists(path):
            return path
    raise StepFailed("lit is not installed (Debian package llvm-22-tools)")


def step_asan():
    run("cmake", "--preset", "asan", "-B", ASAN)
    run("ninja", "-C", ASAN)
    return ctest(ASAN, "-L", "unit")


def step_fuzz(seconds):
    run("cmake", "--preset", "fuzz", "-B", FUZZ)
    run("ninja", "-C", FUZZ)
    targets = sorted(path.name for path in (FUZZ / "bin").glob("fuzz_*"))
    if not targets:
        raise StepFailed("no fuzz target was built")

    def fuzz(target):
        try:
            print(run(ROOT / "test/fuzz/run-fuzzers", FUZZ, seconds, target.removeprefix("fuzz_"),
                      timeout=seconds + 300), end="", flush=True)
        except StepFailed as failure:
            print(failure)
            return f"fuzz.{target}"
        return None

    with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
        names = [name for name in pool.map(fuzz, targets) if name]
    return len(targets) - len(names), len(names), names


STEPS = {
    "build": ("build everything", step_build),
    "lint": ("names, sizes, includes, spelling, format", step_lint),
    "tests": ("unit, artifact, model and end-to-end tests", step_tests),
    "lit": ("dialects, passes, tools and examples (lit, with round trip)", step_lit),
    "asan": ("runtime tests under address and undefined-behaviour sanitizers", step_asan),
    "fuzz": ("fuzz targets", step_fuzz),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, prog="tools/check",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuzz", type=int, default=10, metavar="SECONDS",
                        help="seconds for each fuzz target (default 10)")
    parser.add_argument("--only", metavar="STEP[,STEP]", help="run only these steps")
    parser.add_argument("--list", action="store_true", help="list the steps and stop")
    arguments = parser.parse_args()
    if arguments.list:
        for name, (text, _) in STEPS.items():
            print(f"{name:8} {text}")
        return 0
    chosen = arguments.only.split(",") if arguments.only else list(STEPS)
    unknown = [name for name in chosen if name not in STEPS]
    if unknown:
        parser.error(f"unknown step '{unknown[0]}'; there are: {', '.join(STEPS)}")
    passed = failed = 0
    names = []
    for name in chosen:
        text, function = STEPS[name]
        print(f"== {name}: {text}", flush=True)
        start = time.monotonic()
        try:
            good, bad, which = function(arguments.fuzz) if name == "fuzz" else function()
        except (StepFailed, subprocess.TimeoutExpired, OSError) as failure:
            print(failure)
            good, bad, which = 0, 1, [name]
        passed, failed, names = passed + good, failed + bad, names + which
        print(f"   {good} passed, {bad} failed, {time.monotonic() - start:.0f} s", flush=True)
        if name == "build" and bad:
            break
    for name in names:
        print(f"FAILED {name}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
