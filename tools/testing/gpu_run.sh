#!/usr/bin/env bash
# Checks and measures Levin on the GPU of this machine; made by tools/check-gpu pack.
#   ./run [--only conformance,memcheck,verify,kernels,bench] [--seconds N]
# Prints one table and leaves the output of every program in results/.  The exit status is 0 only
# if every check passed.  --seconds bounds each program (600).
set -u
cd "$(dirname "$0")"
only=all seconds=600
while [ $# -gt 0 ]; do
  case $1 in
    --only) only=$2 && shift 2 ;;
    --seconds) seconds=$2 && shift 2 ;;
    *) echo "usage: run [--only STEP[,STEP]] [--seconds N]" >&2 && exit 2 ;;
  esac
done
if ! bin/levin-run doctor >doctor.txt 2>&1 || ! grep -q 'sm_' doctor.txt; then
  cat doctor.txt >&2
  echo "error LV8002: there is no GPU that the driver knows" >&2
  exit 8
fi
rm -rf results && mkdir results
rows=() failures=0
wanted() { [ "$only" = all ] || [[ ",$only," == *",$1,"* ]]; }
row() { rows+=("$(printf '| %-44s | %-6s | %s' "$1" "$2" "$3")") && echo "${rows[-1]}" >&2; }

# check NAME COMMAND..: one row, from the last line that the program prints.
check() {
  local name=$1 log result=ok start=$SECONDS
  shift
  log=results/${name//[ \/]/-}.txt
  timeout -k 5 "$seconds" "$@" >"$log" 2>&1
  local status=$?
  [ $status -eq 0 ] || { result=FAILED && failures=$((failures + 1)); }
  [ $status -eq 124 ] && echo "not done after $seconds s" >>"$log"
  local last
  last=$(grep -v '^ *$' "$log" | grep -E 'passed|WRONG|ok|error|not done' | tail -n 1 | cut -c1-90)
  row "$name" $result "${last:-exit $status} ($((SECONDS - start)) s)"
}

if wanted conformance; then
  # By kinds, as a kernel that fails ends the process that launched it.
  for kind in $(cut -d/ -f1 conformance/cases.txt | cut -d- -f1 | sort -u); do
    check "conformance $kind" bin/levin-run compare --cases conformance/cases.txt \
      --only "$kind-" --only "$kind/" --quiet
  done
  for file in kernels/*.cases; do
    check "kernels $(basename "$file" .cases)" bin/cuda-run-cases "$file"
  done
fi
sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
if wanted memcheck && [ -x "$sanitizer" ]; then
  cases=memcheck/cases.txt
  [ -f $cases ] || cases=conformance/cases.txt
  for kind in products experts rows lightning attention; do
    check "memcheck $kind" "$sanitizer" --tool memcheck --error-exitcode 9 bin/levin-run compare \
      --cases $cases --only "$kind-" --only "$kind/" --rounds 1 --quiet
  done
fi
if wanted verify; then
  while read -r artifact options; do
    # shellcheck disable=SC2086 # several options
    check "verify $artifact" bin/levin-run verify "models/$artifact" $options --quiet
  done <models/verify.txt
fi
if wanted kernels; then
  for program in bin/cuda-*; do
    name=${program#bin/cuda-}
    case $name in
      run-cases) continue ;;
      attention) check "kernel $name" "$program" check prefill-check decode prefill mixed ;;
      gemm_simt) check "kernel $name" "$program" ;;
      *)
        check "kernel $name" "$program" check
        check "kernel $name time" "$program" time
        ;;
    esac
  done
fi
if wanted bench; then
  number=0
  while read -r artifact options; do
    number=$((number + 1))
    log=results/bench-$number.txt
    # shellcheck disable=SC2086 # several options
    if timeout -k 5 "$seconds" bin/levin-bench "models/$artifact" $options -q -o csv >"$log" 2>&1; then
      # test,seconds,10 %,90 %,tokens/s,bytes,flops,copy,gemm,runs
      while IFS=, read -r test time _ _ rate bytes flops copy gemm _; do
        [ "$test" = test ] && continue
        [ -z "$test" ] && break
        row "${artifact%.lvn} $test" ok "$(awk -v t="$time" -v r="$rate" -v b="$bytes" -v f="$flops" \
          -v c="$copy" -v g="$gemm" 'BEGIN {
            printf "%.3f ms, %.0f tok/s, %.1f %% of copy", t * 1e3, r, 100 * b / t / c
            if (g > 0) printf ", %.1f %% of GEMM", 100 * f / t / g }')"
      done <"$log"
    else
      failures=$((failures + 1))
      row "${artifact%.lvn} $options" FAILED "$(tail -n 1 "$log" | cut -c1-90)"
    fi
  done <models/bench.txt
fi

echo
grep -E 'processor|cuda|GPU|driver|sm_' doctor.txt
echo "commit         $(cat commit)"
echo
printf '| %-44s | %-6s | %s\n' what result figures
printf '|-%s-|-%s-|-%s\n' "$(printf -- '-%.0s' {1..44})" ------ -----------------------
printf '%s\n' "${rows[@]}"
echo
echo "$((${#rows[@]} - failures)) passed, $failures failed"
[ "$failures" -eq 0 ] && [ ${#rows[@]} -gt 0 ]
