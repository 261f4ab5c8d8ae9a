// Each check of programs and entries refuses one damaged manifest with its code.
#include "test/corrupt/Refusal.h"

namespace levin::artifact {
namespace {

using E = ErrorCode;

RankProgram &rank(Manifest &m, size_t program) { return m.programs[program].ranks[0]; }
Launch &launch(Manifest &m, size_t program) {
  return std::get<Launch>(rank(m, program).streams[0].items[0].command);
}
Copy &copy(Manifest &m) { return std::get<Copy>(rank(m, 2).streams[0].items[1].command); }

// Moves the copy of the plain function to a stream of its own.
void splitStreams(Manifest &m) {
  auto &streams = rank(m, 2).streams;
  streams.push_back({{streams[0].items[1]}});
  streams[0].items.pop_back();
}

const Corruption corruptions[] = {
    // memory
    {"no_rank", E::ArtifactIndex, "programs[0]: 'step_4_2_2' has 0 ranks",
     [](Manifest &m) { m.programs[0].ranks.clear(); }},
    {"too_many_streams", E::ArtifactLimit, "programs[2].ranks[0]: the program has too many streams",
     [](Manifest &m) { rank(m, 2).streams.resize(65); }},
    {"order_hash", E::ArtifactFeature, "the program exchanges data between ranks",
     [](Manifest &m) { rank(m, 0).orderHash = 1; }},
    {"workspace_larger_than_arena", E::ArtifactMemory, "needs more workspace than there is",
     [](Manifest &m) { rank(m, 0).workspaceBytes = 385; }},
    {"peak", E::ArtifactMemory, "the peak exceeds the workspace",
     [](Manifest &m) { rank(m, 0).peakBytes = 385; }},
    {"slice_arena", E::ArtifactIndex, "programs[0].ranks[0].slices[3].arena: 3 is no index",
     [](Manifest &m) { rank(m, 0).slices[3].arena = 3; }},
    {"slice_outside_arena", E::ArtifactMemory, "slices[6]: the slice leaves the state arena",
     [](Manifest &m) { rank(m, 0).slices[6].size = 65; }},
    {"slice_offset_wraps", E::ArtifactMemory, "slices[7]: the slice leaves the workspace arena",
     [](Manifest &m) { rank(m, 0).slices[7].offset = ~uint64_t(63); }},
    {"slice_outside_workspace", E::ArtifactMemory, "need: within 319 bytes",
     [](Manifest &m) {
       rank(m, 0).workspaceBytes = 319;
       rank(m, 0).peakBytes = 0;
     }},
    {"slice_misaligned", E::ArtifactMemory, "slices[0]: the slice is not aligned",
     [](Manifest &m) { rank(m, 0).slices[0].offset = 32; }},
    {"slice_ends_before_it_begins", E::ArtifactMemory, "the slice's life is impossible",
     [](Manifest &m) { rank(m, 2).slices[1].firstCommand = 2; }},
    {"slice_outlives_program", E::ArtifactMemory, "need: first <= last < 2",
     [](Manifest &m) { rank(m, 2).slices[1].lastCommand = 2; }},
    {"live_slices_overlap", E::ArtifactMemory, "overlaps slice 0 while both are alive",
     [](Manifest &m) { rank(m, 0).slices[1].offset = 0; }},
    {"ref_slice", E::ArtifactIndex, "items[0].bindings[1].slice: 9 is no index into 3 slices",
     [](Manifest &m) { launch(m, 2).bindings[1].slice = 9; }},
    {"ref_outside_slice", E::ArtifactMemory, "the reference leaves slice 1",
     [](Manifest &m) { launch(m, 2).bindings[1].size = 17; }},
    {"ref_wraps", E::ArtifactMemory, "the reference leaves slice 1",
     [](Manifest &m) { launch(m, 2).bindings[1].offset = ~uint64_t(15); }},
    {"ref_empty", E::ArtifactMemory, "have: 0 bytes at 0",
     [](Manifest &m) { launch(m, 2).bindings[1].size = 0; }},
    {"ref_misaligned", E::ArtifactMemory, "bindings[0]: the reference is not aligned",
     [](Manifest &m) { launch(m, 2).bindings[0] = {4, 12, 0}; }},
    {"touched_before_alive", E::ArtifactMemory, "slice 1 is not alive here",
     [](Manifest &m) { rank(m, 2).slices[1].firstCommand = 1; }},
    {"touched_after_death", E::ArtifactMemory, "items[1].source: slice 1 is not alive here",
     [](Manifest &m) { rank(m, 2).slices[1].lastCommand = 0; }},
    {"parameter_written", E::ArtifactMemory, "bindings[5]: a parameter is written",
     [](Manifest &m) { m.executables[0].exports[1].written[5] = true; }},
    {"input_written", E::ArtifactMemory, "the input in slice 0 is written",
     [](Manifest &m) { m.executables[0].exports[1].written[0] = true; }},
    {"copy_onto_input", E::ArtifactMemory, "items[1].target: the input in slice 0 is written",
     [](Manifest &m) { copy(m).target.slice = 0; }},
    {"read_before_write", E::ArtifactMemory, "items[0].source: bytes of slice 1 are read before",
     [](Manifest &m) {
       std::swap(rank(m, 2).streams[0].items[0], rank(m, 2).streams[0].items[1]);
       rank(m, 2).slices[2].firstCommand = 0;
     }},
    {"read_more_than_written", E::ArtifactMemory, "need: an earlier write of byte 8",
     [](Manifest &m) { launch(m, 2).bindings[1].size = 8; }},
    {"output_never_written", E::ArtifactMemory, "entries[2].outputs[0]: the output 'y' is never",
     [](Manifest &m) { rank(m, 2).streams[0].items[1] = rank(m, 2).streams[0].items[0]; }},
    {"copy_sizes", E::ArtifactMemory, "have: 16 bytes to 8",
     [](Manifest &m) { copy(m).target.size = 8; }},
    {"copy_overlap", E::ArtifactMemory, "items[1]: the copy's sides overlap",
     [](Manifest &m) { copy(m).target = copy(m).source; }},
    // launches
    {"launch_executable", E::ArtifactIndex, "items[0].executable: 1 is no index into 1 executables",
     [](Manifest &m) { launch(m, 0).executable = 1; }},
    {"launch_export", E::ArtifactIndex, "items[0].export_index: 2 is no index into 2 exports",
     [](Manifest &m) { launch(m, 0).exportIndex = 2; }},
    {"launch_bindings", E::ArtifactLaunch, "'step_kernel' is launched with another number",
     [](Manifest &m) { launch(m, 0).bindings.pop_back(); }},
    {"grid_zero", E::ArtifactLaunch, "items[0].grid: the grid is impossible",
     [](Manifest &m) { launch(m, 0).grid[2] = 0; }},
    {"grid_too_large", E::ArtifactLaunch, "have: 65536 x 65536 x 1",
     [](Manifest &m) { launch(m, 0).grid = {65536, 65536, 1}; }},
    {"grid_wraps", E::ArtifactLaunch, "the grid is impossible",
     [](Manifest &m) { launch(m, 0).grid = {1u << 31, 1u << 31, 4}; }},
    {"binding_alignment", E::ArtifactLaunch, "the binding is aligned less than the kernel needs",
     [](Manifest &m) { m.executables[0].exports[0].minAlignment = 128; }},
    {"bindings_overlap", E::ArtifactLaunch, "bindings 0 and 1 overlap and one is written",
     [](Manifest &m) { launch(m, 2).bindings[1] = launch(m, 2).bindings[0]; }},
    {"location", E::ArtifactIndex, "items[0].location: 2 is no index into 2 locations",
     [](Manifest &m) { rank(m, 2).streams[0].items[0].location = 2; }},
    // races
    {"race", E::ArtifactRace, "the command races with streams[0].items[0] in the workspace arena",
     splitStreams},
    // entries
    {"entry_program", E::ArtifactIndex, "entries[2].program: 3 is no index into 3 programs",
     [](Manifest &m) { m.entries[2].program = 3; }},
    {"program_shared", E::ArtifactEntry, "entries[1]: 'step_1_1_1' runs the program of",
     [](Manifest &m) { m.entries[1].program = 0; }},
    {"program_unused", E::ArtifactEntry, "programs[2]: no entry runs the program 'double'",
     [](Manifest &m) { m.entries.pop_back(); }},
    {"input_twice", E::ArtifactName, "entries[0].inputs[1].name: name 'ids' is used twice",
     [](Manifest &m) { m.entries[0].inputs[1].name = "ids"; }},
    {"binding_ranks", E::ArtifactEntry, "'x' has a slice for another number of ranks",
     [](Manifest &m) { m.entries[2].inputs[0].slices.clear(); }},
    {"binding_slice", E::ArtifactIndex, "entries[2].inputs[0].slices[0]: 3 is no index",
     [](Manifest &m) { m.entries[2].inputs[0].slices[0] = 3; }},
    {"binding_too_large", E::ArtifactEntry, "'x' does not fit its slice",
     [](Manifest &m) { m.entries[2].inputs[0].type.shape[0] = 5; }},
    {"binding_arena", E::ArtifactEntry, "entries[0].state[0].slices[0]: the binding lies in the",
     [](Manifest &m) { m.entries[0].state[0].slices[0] = 7; }},
    {"output_in_parameters", E::ArtifactEntry, "have: parameters",
     [](Manifest &m) {
       rank(m, 2).slices.push_back({0, 16, 0, 0, 0});
       m.entries[2].outputs[0].slices[0] = 3;
     }},
    {"input_dies", E::ArtifactEntry, "the binding does not live as long as its caller needs it",
     [](Manifest &m) { rank(m, 2).slices[0].lastCommand = 0; }},
    {"function_with_role", E::ArtifactEntry, "'x' of the function 'double' has a role",
     [](Manifest &m) { m.entries[2].inputs[0].role = Role::Ids; }},
    {"function_with_state", E::ArtifactEntry, "the function 'double' has state",
     [](Manifest &m) {
       rank(m, 2).slices.push_back(rank(m, 0).slices[6]);
       m.entries[2].state = m.entries[0].state;
       m.entries[2].state[0].slices[0] = 3;
     }},
    {"bucket_incomplete", E::ArtifactEntry, "the bucket of 'step_4_2_2' is incomplete",
     [](Manifest &m) { m.entries[0].rows.reset(); }},
    {"bucket_impossible", E::ArtifactEntry, "the bucket of 'step_4_2_2' is impossible",
     [](Manifest &m) { m.entries[0].sequences = 3; }},
    {"bucket_twice", E::ArtifactEntry, "entries[1]: 'step_1_1_1' has the bucket of 'step_4_2_2'",
     [](Manifest &m) {
       m.entries[1].tokens = 4;
       m.entries[1].sequences = m.entries[1].rows = 2;
     }},
    {"role_missing", E::ArtifactEntry, "the step 'step_4_2_2' has no past",
     [](Manifest &m) { m.entries[0].inputs[3].role = Role::Slots; }},
    {"role_twice", E::ArtifactEntry, "has other bindings than its roles",
     [](Manifest &m) {
       m.entries[0].inputs.push_back(m.entries[0].inputs[0]);
       m.entries[0].inputs.back().name = "again";
     }},
    {"ids_type", E::ArtifactEntry, "have: 4xf32",
     [](Manifest &m) { m.entries[0].inputs[0].type.dtype = DType::F32; }},
    {"starts_shape", E::ArtifactEntry, "need: 3xi32 for the starts",
     [](Manifest &m) { m.entries[0].inputs[1].type.shape[0] = 2; }},
    {"logits_shape", E::ArtifactEntry, "need: 2x7xf32 for the logits",
     [](Manifest &m) { m.model.vocabulary = 7; }},
    {"state_role", E::ArtifactEntry, "the state 'layer0.state' has another role",
     [](Manifest &m) { m.entries[0].state[0].role = Role::None; }},
    {"state_slots", E::ArtifactEntry, "need: a first dimension of 3",
     [](Manifest &m) { m.model.slots = 3; }},
    {"state_name_differs", E::ArtifactEntry, "the state 'other' is not where the first step has it",
     [](Manifest &m) { m.entries[1].state[0].name = "other"; }},
    {"state_place_differs", E::ArtifactEntry, "have: 2x4xf32, 32 bytes at 64",
     [](Manifest &m) {
       m.arenas[1].size = 128;
       rank(m, 1).slices[6].offset = 64;
     }},
    {"state_missing", E::ArtifactEntry, "the step 'step_1_1_1' lacks state",
     [](Manifest &m) { m.entries[1].state.clear(); }},
    {"states_overlap", E::ArtifactMemory, "the states 'layer0.state' and 'layer1.state' overlap",
     [](Manifest &m) {
       for (Entry *entry : {&m.entries[0], &m.entries[1]}) {
         entry->state.push_back(entry->state[0]);
         entry->state[1].name = "layer1.state";
       }
     }},
    {"model_without_step", E::ArtifactEntry, "model: a model without a step",
     [](Manifest &m) {
       m.entries.erase(m.entries.begin(), m.entries.begin() + 2);
       m.programs.erase(m.programs.begin(), m.programs.begin() + 2);
       m.entries[0].program = 0;
     }},
    {"model_without_context", E::ArtifactEntry, "model: a step needs a model",
     [](Manifest &m) { m.model.maxContext = 0; }},
    {"context_too_large", E::ArtifactEntry, "model: the model is too large",
     [](Manifest &m) { m.model.maxContext = uint64_t(1) << 32; }},
    {"too_many_slots", E::ArtifactEntry, "model: the model is too large",
     [](Manifest &m) {
       m.model.slots = (uint64_t(1) << 20) + 1;
       for (Entry &entry : m.entries)
         entry.state.clear();
     }},
    {"end_token", E::ArtifactEntry, "token 8 is outside the vocabulary",
     [](Manifest &m) { m.model.endTokens.push_back(8); }},
    {"begin_token", E::ArtifactEntry, "token -1 is outside the vocabulary",
     [](Manifest &m) { m.model.beginToken = -1; }},
};

class CorruptProgram : public testing::TestWithParam<Corruption> {};

TEST_P(CorruptProgram, IsRefused) { expectRefused(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Programs, CorruptProgram, testing::ValuesIn(corruptions),
                         [](const auto &info) { return std::string(info.param.name); });

// Streams that touch no common bytes, or only read them, do not race.
TEST(Streams, MayReadTheSameBytes) {
  std::vector<std::string> segments = smallSegments(testCode("good"));
  Manifest manifest = smallManifest(segments);
  RankProgram &program = rank(manifest, 2);
  Launch second = launch(manifest, 2); // scales x straight into y
  second.bindings[1].slice = 2;
  program.streams[0].items.pop_back();
  program.streams.push_back({{{second, std::nullopt}}});
  auto artifact = parseText(serialiseUnchecked(manifest, segments));
  EXPECT_TRUE(artifact.ok()) << artifact.status().text();
}

// A slice may take the place of one that has died.
TEST(Slices, MayReuseDeadBytes) {
  std::vector<std::string> segments = smallSegments(testCode("good"));
  Manifest manifest = smallManifest(segments);
  RankProgram &program = rank(manifest, 2);
  program.streams[0].items.push_back(program.streams[0].items[1]); // temporary -> y, then z -> y
  program.slices[2].firstCommand = 1;
  for (uint32_t input : {0u, 2u})
    program.slices[input].lastCommand = 2;
  program.slices.push_back({64, 16, 2, 2, 2});
  Copy &last = std::get<Copy>(program.streams[0].items[2].command);
  last = {{0, 16, 0}, {0, 16, 3}};
  auto artifact = parseText(serialiseUnchecked(manifest, segments));
  EXPECT_TRUE(artifact.ok()) << artifact.status().text();
}

} // namespace
} // namespace levin::artifact
