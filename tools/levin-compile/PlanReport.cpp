#include "tools/levin-compile/PlanReport.h"

#include "tools/common/Format.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace levin::compile {

using tool::humanBytes;

std::string PlanReport::line() const {
  std::string shared = pages ? fmt::format(", {} pages of {}", pages, pageTokens) : "";
  std::string extent =
      slots ? fmt::format(" ({} slots, context {}{})", slots, maxContext, shared) : "";
  return fmt::format("weights {} | state {}{} | workspace {} | runtime {} = {} of {}",
                     humanBytes(memory.weightBytes), humanBytes(memory.stateBytes), extent,
                     humanBytes(memory.workspaceBytes()), humanBytes(memory.runtimeBytes()),
                     humanBytes(memory.totalBytes()), humanBytes(machineBytes));
}

std::string PlanReport::table() const {
  using Align = tool::Table::Align;
  tool::Table table;
  table.column("program").column("tokens", Align::Right).column("sequences", Align::Right);
  table.column("rows", Align::Right).column("workspace", Align::Right);
  table.column("launches", Align::Right).column("copies", Align::Right);
  for (const plan::ProgramMemory &program : memory.programs) {
    auto extent = [&](size_t i) {
      return program.bucket ? std::to_string((*program.bucket)[i]) : std::string("-");
    };
    table.row({program.name, extent(0), extent(1), extent(2), humanBytes(program.workspaceBytes),
               std::to_string(program.launches), std::to_string(program.copies)});
  }
  return table.text();
}

std::string PlanReport::json() const {
  nlohmann::ordered_json root;
  root["weights_bytes"] = memory.weightBytes;
  root["state_bytes"] = memory.stateBytes;
  root["workspace_bytes"] = memory.workspaceBytes();
  root["runtime_bytes"] = memory.runtimeBytes();
  root["total_bytes"] = memory.totalBytes();
  root["machine_bytes"] = machineBytes;
  root["slots"] = slots;
  root["max_context"] = maxContext;
  if (pages) {
    root["pages"] = pages;
    root["page_tokens"] = pageTokens;
  }
  root["programs"] = nlohmann::ordered_json::array();
  for (const plan::ProgramMemory &program : memory.programs) {
    nlohmann::ordered_json item;
    item["name"] = program.name;
    if (program.bucket) {
      item["tokens"] = (*program.bucket)[0];
      item["sequences"] = (*program.bucket)[1];
      item["rows"] = (*program.bucket)[2];
    }
    item["workspace_bytes"] = program.workspaceBytes;
    item["launches"] = program.launches;
    item["copies"] = program.copies;
    root["programs"].push_back(std::move(item));
  }
  return root.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

// The largest value below `most` for which `fits` holds, or 0; `fits` holds for all smaller ones.
static uint64_t largestThatFits(uint64_t most, const std::function<bool(uint64_t)> &fits) {
  uint64_t low = 0, high = most;
  while (high - low > 1) {
    uint64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

// Options that change one thing; what they would need.
static std::vector<Alternative> alternatives(const PlanReport &report, const PlanChoices &choices) {
  std::vector<Alternative> list;
  uint64_t total = report.memory.totalBytes(), have = report.machineBytes;
  uint64_t rest = total - report.memory.stateBytes;
  if (choices.slots > 1) {
    auto need = [&](uint64_t slots) { return rest + choices.stateBytes(slots, choices.context); };
    uint64_t slots = largestThatFits(choices.slots, [&](uint64_t s) { return need(s) <= have; });
    slots = std::max<uint64_t>(slots, 1);
    list.push_back({fmt::format("--slots {}", slots), need(slots)});
  }
  if (choices.context > 1 && choices.slots) {
    auto need = [&](uint64_t context) { return rest + choices.stateBytes(choices.slots, context); };
    uint64_t context =
        largestThatFits(choices.context, [&](uint64_t c) { return need(c) <= have; });
    // A round number is easier to remember; a few thousand tokens are the least that is of use.
    constexpr uint64_t least = 4096;
    uint64_t round = 16;
    while (round * 2 <= context)
      round *= 2;
    context = context ? std::min(context, round) : std::min(choices.context, least);
    if (need(context) < total)
      list.push_back({fmt::format("--max-context {}", context), need(context)});
  }
  if (choices.pages > 1) {
    auto need = [&](uint64_t pages) { return total - (choices.pages - pages) * choices.pageBytes; };
    uint64_t pages = largestThatFits(choices.pages, [&](uint64_t p) { return need(p) <= have; });
    pages = std::max<uint64_t>(pages, 1);
    list.push_back({fmt::format("--kv-pages {}", pages), need(pages)});
  }
  if (choices.dtype == "auto" || choices.dtype == "f32") {
    uint64_t bytes = total - report.memory.weightBytes + choices.weightBytes(2);
    if (bytes < total - total / 100) // less is not worth the rounding
      list.push_back({"--dtype bf16", bytes});
  }
  return list;
}

Status checkFits(const PlanReport &report, const PlanChoices &choices) {
  uint64_t need = report.memory.totalBytes(), have = report.machineBytes;
  if (need <= have)
    return {};
  Status status =
      makeError(ErrorCode::PlanDoesNotFit, "plan does not fit: it needs {}, this machine has {}",
                humanBytes(need), humanBytes(have))
          .note("have", fmt::format("{} ({} bytes)", humanBytes(have), have))
          .note("need", fmt::format("{} (weights {}, state {}, workspace {}, runtime {})",
                                    humanBytes(need), humanBytes(report.memory.weightBytes),
                                    humanBytes(report.memory.stateBytes),
                                    humanBytes(report.memory.workspaceBytes()),
                                    humanBytes(report.memory.runtimeBytes())));
  std::string helps, noHelp;
  for (const Alternative &other : alternatives(report, choices)) {
    std::string &list = other.bytes <= have ? helps : noHelp;
    list += fmt::format("{}{}  -> {}", list.empty() ? "" : "     ", other.option,
                        humanBytes(other.bytes));
  }
  if (!helps.empty())
    status.note("try", helps);
  if (!noHelp.empty())
    status.note(
        "no help",
        noHelp + (report.memory.weightBytes > have ? "     (the weights alone do not fit)" : ""));
  if (helps.empty())
    status.note("fix", "compile for a machine with more memory: --memory SIZE");
  return status;
}

} // namespace levin::compile
