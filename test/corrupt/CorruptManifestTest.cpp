// Each check of the manifest's tables refuses one damaged manifest with its code.
#include "test/corrupt/Refusal.h"

namespace levin::artifact {
namespace {

using E = ErrorCode;

Pieces &pieces(Manifest &m, size_t parameter) {
  return std::get<Pieces>(m.parameters[parameter].source);
}
SegmentBytes &constant(Manifest &m) { return std::get<SegmentBytes>(m.parameters[2].source); }

const Corruption corruptions[] = {
    // ranks, features, text
    {"two_ranks", E::ArtifactFeature, "world_size: the artifact is for 2 ranks",
     [](Manifest &m) { m.worldSize = 2; }},
    {"features_not_in_use", E::ArtifactFeature, "features: the features stated are not those",
     [](Manifest &m) { m.features = HostCode; }},
    {"source_digest_length", E::ArtifactManifest, "have: 31 bytes",
     [](Manifest &m) { m.producer.sourceDigest.pop_back(); }},
    {"options_out_of_order", E::ArtifactName, "producer.options[1]: option 'a' is not in order",
     [](Manifest &m) { m.producer.options.emplace_back("a", ""); }},
    {"escape_in_option", E::ArtifactName, "producer.options[0].value: text holds a control",
     [](Manifest &m) { m.producer.options[0].second = "\x1b[2J"; }},
    {"escape_in_location", E::ArtifactName, "debug.locations[1]: text holds a control",
     [](Manifest &m) { m.debug.locations[1] = "\x07"; }},
    {"long_option", E::ArtifactLimit, "have: 65537 bytes",
     [](Manifest &m) { m.producer.options[0].second.assign(65537, 'x'); }},
    // names
    {"empty_name", E::ArtifactName, "entries[0].name: name '' is not allowed",
     [](Manifest &m) { m.entries[0].name.clear(); }},
    {"long_name", E::ArtifactName, "have: 129 bytes",
     [](Manifest &m) { m.parameters[0].name.assign(129, 'n'); }},
    {"name_with_space", E::ArtifactName, "parameters[0].name: name 'a b' is not allowed",
     [](Manifest &m) { m.parameters[0].name = "a b"; }},
    {"parameter_twice", E::ArtifactName, "name 'gate.panels4' is used twice",
     [](Manifest &m) { m.parameters[1].name = "gate.panels4"; }},
    {"entry_twice", E::ArtifactName, "entries[2].name: name 'step_1_1_1' is used twice",
     [](Manifest &m) { m.entries[2].name = "step_1_1_1"; }},
    {"program_twice", E::ArtifactName, "programs[1].name: name 'step_4_2_2' is used twice",
     [](Manifest &m) { m.programs[1].name = "step_4_2_2"; }},
    {"export_twice", E::ArtifactName, "executables[0].exports[1].name: name 'scale' is used twice",
     [](Manifest &m) { m.executables[0].exports[1].name = "scale"; }},
    {"weight_file_in_folder", E::ArtifactName, "name '../model.safetensors' is not allowed",
     [](Manifest &m) { m.weightFiles[0].name = "../model.safetensors"; }},
    {"weight_file_above", E::ArtifactName, "weight_files[0].name: name '..' is not allowed",
     [](Manifest &m) { m.weightFiles[0].name = ".."; }},
    {"asset_twice", E::ArtifactName, "assets[1].name: name 'tokenizer.json' is used twice",
     [](Manifest &m) { m.assets.push_back(m.assets[0]); }},
    {"cpu_feature_name", E::ArtifactName, "variants[0].cpu_features[1]: name",
     [](Manifest &m) { m.executables[0].variants[0].cpuFeatures[1] = "f m a"; }},
    {"empty_tensor_key", E::ArtifactName, "the tensor's name has an impossible length",
     [](Manifest &m) { pieces(m, 0).pieces[0].key.clear(); }},
    {"escape_in_tensor_key", E::ArtifactName, "the tensor's name holds a control character",
     [](Manifest &m) { pieces(m, 0).pieces[0].key = "a\nb"; }},
    {"family_name", E::ArtifactName, "model.family: the family's name is not allowed",
     [](Manifest &m) { m.model.family = "mini max"; }},
    // indices
    {"asset_segment", E::ArtifactIndex, "assets[0].segment: 3 is no index into 3 segments",
     [](Manifest &m) { m.assets[0].segment = 3; }},
    {"piece_file", E::ArtifactIndex, "parameters[0].source.pieces[1].file: 1 is no index",
     [](Manifest &m) { pieces(m, 0).pieces[1].file = 1; }},
    {"constant_segment", E::ArtifactIndex, "parameters[2].source.segment: 9 is no index",
     [](Manifest &m) { constant(m).segment = 9; }},
    {"variant_segment", E::ArtifactIndex, "executables[0].variants[0].segment: 4294967295",
     [](Manifest &m) { m.executables[0].variants[0].segment = ~0u; }},
    // enums
    {"parameter_dtype", E::ArtifactEnum, "parameters[0].type.dtype: 77 is no known value",
     [](Manifest &m) { m.parameters[0].type.dtype = DType(77); }},
    {"piece_dtype_invalid", E::ArtifactEnum, "pieces[0].dtype: 0 is no known value",
     [](Manifest &m) { pieces(m, 0).pieces[0].dtype = DType::Invalid; }},
    {"join", E::ArtifactEnum, "parameters[1].source: 3 is no known way to join",
     [](Manifest &m) { pieces(m, 1).join = Join(3); }},
    {"code_kind", E::ArtifactEnum, "executables[0].variants[0].kind: 9 is no known value",
     [](Manifest &m) { m.executables[0].variants[0].kind = CodeKind(9); }},
    {"arena_kind", E::ArtifactEnum, "arenas[1].kind: 0 is no known value",
     [](Manifest &m) { m.arenas[1].kind = ArenaKind::Invalid; }},
    {"role", E::ArtifactEnum, "entries[0].inputs[0]: role 200 is unknown",
     [](Manifest &m) { m.entries[0].inputs[0].role = Role(200); }},
    // tensor types
    {"rank", E::ArtifactTensor, "a tensor of 9 dimensions",
     [](Manifest &m) { m.parameters[0].type.shape.assign(9, 1); }},
    {"zero_extent", E::ArtifactTensor, "dimension 1 is 0 in 6x0xf32",
     [](Manifest &m) { m.parameters[0].type.shape[1] = 0; }},
    {"product_wraps", E::ArtifactTensor, "more than 2^64 bytes",
     [](Manifest &m) { m.parameters[0].type.shape = {uint64_t(1) << 32, uint64_t(1) << 32}; }},
    {"tensor_too_large", E::ArtifactTensor, "at most 281474976710656 bytes",
     [](Manifest &m) { m.parameters[0].type.shape = {uint64_t(1) << 62}; }},
    // segments
    {"segment_offset", E::ArtifactSegment, "segments[1]: the segment does not follow",
     [](Manifest &m) { m.segments[1].offset += 4096; }},
    {"segment_overlap", E::ArtifactSegment, "segments[2]: the segment does not follow",
     [](Manifest &m) { m.segments[2].offset = m.segments[1].offset; }},
    {"segment_alignment", E::ArtifactMemory, "segments[0].alignment: alignment 3 is not allowed",
     [](Manifest &m) { m.segments[0].alignment = 3; }},
    {"segment_outside_file", E::ArtifactSegment, "segments[2]: the segment leaves the file",
     [](Manifest &m) { m.segments[2].size += 1; }},
    {"segment_too_large", E::ArtifactLimit, "segments[2]: the segment is too large",
     [](Manifest &m) { m.segments[2].size = uint64_t(1) << 60; }},
    {"segment_digest", E::ArtifactSegment, "segments[1]: the segment does not match its digest",
     [](Manifest &m) { m.segments[1].digest[0] ^= 1; }},
    {"weight_file_too_large", E::ArtifactLimit, "weight_files[0]: the weight file is too large",
     [](Manifest &m) { m.weightFiles[0].size = ~uint64_t(0); }},
    // parameters
    {"box_outside", E::ArtifactParameter, "the box leaves the tensor 'b.weight' in dimension 0",
     [](Manifest &m) { pieces(m, 0).pieces[1].starts[0] = 7; }},
    {"box_wraps", E::ArtifactParameter, "the box leaves the tensor 'b.weight' in dimension 0",
     [](Manifest &m) { pieces(m, 0).pieces[1].starts[0] = ~uint64_t(0); }},
    {"box_rank", E::ArtifactParameter, "the box has another rank than the tensor",
     [](Manifest &m) { pieces(m, 0).pieces[1].starts.pop_back(); }},
    {"pieces_do_not_fit", E::ArtifactParameter, "the pieces of 'gate.panels4' do not fit",
     [](Manifest &m) { pieces(m, 0).pieces[1].sizes[1] = 3; }},
    {"pieces_make_other_shape", E::ArtifactParameter, "have: 5x4xf32",
     [](Manifest &m) { pieces(m, 0).pieces[1].sizes[0] = 1; }},
    {"stack_count", E::ArtifactParameter, "have: 3x2x3xf32",
     [](Manifest &m) { pieces(m, 1).pieces.push_back(pieces(m, 1).pieces[0]); }},
    {"cast_float_to_integer", E::ArtifactParameter, "'expert0' cannot be cast",
     [](Manifest &m) { m.parameters[1].type.dtype = DType::I32; }},
    {"constant_outside_segment", E::ArtifactParameter, "the bytes of 'slopes.plain' leave their",
     [](Manifest &m) { constant(m).offset = 8; }},
    {"constant_size", E::ArtifactParameter, "the bytes of 'slopes.plain' do not fill its type",
     [](Manifest &m) { constant(m).size = 12; }},
    {"panel_size", E::ArtifactParameter, "need: 96 for 1x4x6xf32",
     [](Manifest &m) { m.parameters[0].panelRows = 6; }},
    {"panels_of_vector", E::ArtifactParameter, "'slopes.plain' has panels but no matrix",
     [](Manifest &m) { m.parameters[2].panelRows = 4; }},
    {"parameter_outside_arena", E::ArtifactMemory,
     "'slopes.plain' lies outside the parameter arena",
     [](Manifest &m) { m.parameters[2].offset = 256; }},
    {"parameter_misaligned", E::ArtifactMemory, "'slopes.plain' is not aligned",
     [](Manifest &m) { m.parameters[2].offset = 200; }},
    {"parameters_overlap", E::ArtifactMemory, "parameters[1]: 'experts.plain' overlaps",
     [](Manifest &m) { m.parameters[1].offset = 64; }},
    // kernels
    {"no_variant", E::ArtifactTarget, "executables[1]: the executable has code for no target",
     [](Manifest &m) { m.executables.push_back({}); }},
    {"target_twice", E::ArtifactName, "name 'host-x86_64-v3' is used twice",
     [](Manifest &m) { m.executables[0].variants.push_back(m.executables[0].variants[0]); }},
    {"stack_bytes", E::ArtifactLimit, "executables[0].exports[0]: the kernel needs too much stack",
     [](Manifest &m) { m.executables[0].exports[0].stackBytes = uint64_t(1) << 40; }},
    {"export_alignment", E::ArtifactMemory, "exports[0].min_alignment: alignment 0 is not allowed",
     [](Manifest &m) { m.executables[0].exports[0].minAlignment = 0; }},
    {"too_many_bindings", E::ArtifactLimit, "the kernel has too many bindings",
     [](Manifest &m) { m.executables[0].exports[0].written.resize(1025); }},
    {"launches_of_host_code", E::ArtifactLaunch, "exports[0]: 'scale' does not fit the code",
     [](Manifest &m) { m.executables[0].exports[0].launches.emplace_back().symbol = "scale"; }},
    {"kinds_mixed", E::ArtifactTarget, "variants[1]: code for a processor and for a GPU are mixed",
     [](Manifest &m) {
       m.executables[0].variants.push_back({"cuda-sm_90a", CodeKind::Cubin, 0, {}});
     }},
    {"pages_without_size", E::ArtifactEntry, "model: the pages of the caches are impossible",
     [](Manifest &m) { m.model.pages = 4; }},
    {"no_page_tables", E::ArtifactEntry, "the step 'step_4_2_2' has no pages",
     [](Manifest &m) {
       m.model.pages = 4;
       m.model.pageTokens = 8;
     }},
    {"missing_export", E::ArtifactCode, "the code does not define the kernel 'absent'",
     [](Manifest &m) { m.executables[0].exports.push_back({"absent", {}, 64, 0}); }},
    // arenas
    {"arena_twice", E::ArtifactMemory, "arenas[3]: a second arena for state",
     [](Manifest &m) { m.arenas.push_back(m.arenas[1]); }},
    {"arena_alignment", E::ArtifactMemory, "arenas[0].alignment: alignment 8192 is not allowed",
     [](Manifest &m) { m.arenas[0].alignment = 8192; }},
    {"arena_too_large", E::ArtifactLimit, "arenas[2]: the arena is too large",
     [](Manifest &m) { m.arenas[2].size = ~uint64_t(0); }},
};

class CorruptManifest : public testing::TestWithParam<Corruption> {};

TEST_P(CorruptManifest, IsRefused) { expectRefused(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Tables, CorruptManifest, testing::ValuesIn(corruptions),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace
} // namespace levin::artifact
