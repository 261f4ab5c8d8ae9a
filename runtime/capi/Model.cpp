// levin.h: errors, loading, what a model is.
#include "runtime/capi/Handles.h"

using namespace levin;
using namespace levin::capi;

#define LEVIN_TEXT_(x) #x
#define LEVIN_TEXT(x) LEVIN_TEXT_(x)

const char *levin_version(void) {
  return LEVIN_TEXT(LEVIN_VERSION_MAJOR) "." LEVIN_TEXT(LEVIN_VERSION_MINOR) "." LEVIN_TEXT(
      LEVIN_VERSION_PATCH);
}

// --- Errors --------------------------------------------------------------------------------------

levin_status levin::capi::report(Status status, levin_error **error) {
  if (status.ok())
    return 0;
  if (error)
    *error = new levin_error{status.number(), status.text()};
  return status.number();
}

Status levin::capi::badArgument(std::string what) {
  return Status(ErrorCode::Argument, std::move(what));
}

levin_status levin_error_code(const levin_error *error) { return error ? error->code : 0; }
const char *levin_error_text(const levin_error *error) { return error ? error->text.c_str() : ""; }
void levin_error_free(levin_error *error) { delete error; }

// --- Loading -------------------------------------------------------------------------------------

levin_status levin_load(const char *path, const levin_load_options *options, levin_model **model,
                        levin_error **error) {
  LEVIN_CAPI_REQUIRE(path && model, "path or model is NULL");
  Result<levin_load_options> given = readStruct(options, "levin_load_options");
  if (!given.ok())
    return report(given.takeStatus(), error);
  LEVIN_CAPI_REQUIRE(given->weight_folders || given->weight_folder_count == 0,
                     "weight_folders is NULL, but weight_folder_count is not 0");
  ModelOptions wanted;
  for (size_t i = 0; i < given->weight_folder_count; ++i) {
    LEVIN_CAPI_REQUIRE(given->weight_folders[i], "a weight folder is NULL");
    wanted.weightFolders.emplace_back(given->weight_folders[i]);
  }
  wanted.threads = given->threads;
  wanted.verifyDigests = !given->skip_weight_digests;
  wanted.artifactOnly = given->artifact_only != 0;
  if (given->signature_key)
    wanted.signatureKey = given->signature_key;
  wanted.maxMemory = given->max_memory;
  if (given->device)
    wanted.device = given->device;
  if (given->random_weights)
    wanted.randomWeights = given->random_seed;
  if (given->progress)
    wanted.progress = [&](const char *phase, uint64_t done, uint64_t total) {
      given->progress(given->user, phase, done, total);
    };
  if (given->log)
    wanted.log = [&](const std::string &line) { given->log(given->user, line.c_str()); };
  Result<std::shared_ptr<const Model>> loaded = Model::load(path, wanted);
  if (!loaded.ok())
    return report(loaded.takeStatus(), error);
  *model = new levin_model{std::move(*loaded)};
  return 0;
}

void levin_model_free(levin_model *model) { delete model; }

// --- What a model is -----------------------------------------------------------------------------

levin_status levin_model_get_info(const levin_model *model, levin_model_info *info,
                                  levin_error **error) {
  LEVIN_CAPI_REQUIRE(model, "model is NULL");
  const artifact::Manifest &manifest = model->model->manifest();
  levin_model_info value{};
  value.family = manifest.model.family.c_str();
  value.compiler = manifest.producer.compiler.c_str();
  value.target = model->model->target().c_str();
  value.vocabulary = manifest.model.vocabulary;
  value.slots = manifest.model.slots;
  value.max_context = manifest.model.maxContext;
  value.layers = manifest.model.layers;
  value.parameters = manifest.model.parameters;
  value.begin_token = manifest.model.beginToken.value_or(-1);
  value.end_tokens = manifest.model.endTokens.data();
  value.end_token_count = manifest.model.endTokens.size();
  value.entry_count = manifest.entries.size();
  value.asset_count = manifest.assets.size();
  value.parameter_bytes = model->model->arenaBytes(artifact::ArenaKind::Parameters);
  value.state_bytes = model->model->arenaBytes(artifact::ArenaKind::State);
  value.workspace_bytes = model->model->arenaBytes(artifact::ArenaKind::Workspace);
  value.device = model->model->device().c_str();
  value.pages = manifest.model.pages;
  value.page_tokens = manifest.model.pageTokens;
  return report(writeStruct(value, info, "levin_model_info"), error);
}

levin_status levin_model_get_load_statistics(const levin_model *model,
                                             levin_load_statistics *statistics,
                                             levin_error **error) {
  LEVIN_CAPI_REQUIRE(model, "model is NULL");
  const LoadTimes &times = model->model->times();
  levin_load_statistics value{};
  value.artifact_seconds = times.artifact;
  value.code_seconds = times.code;
  value.weights_seconds = times.weights;
  value.total_seconds = times.total;
  value.weight_bytes = model->model->weightBytes();
  return report(writeStruct(value, statistics, "levin_load_statistics"), error);
}

// The enums of levin.h are those of the artifact.
static_assert(LEVIN_I1 == static_cast<int>(artifact::DType::I1));
static_assert(LEVIN_U64 == static_cast<int>(artifact::DType::U64));
static_assert(LEVIN_F64 == static_cast<int>(artifact::DType::F64));
static_assert(LEVIN_ROLE_NONE == static_cast<int>(artifact::Role::None));
static_assert(LEVIN_ROLE_ROWS == static_cast<int>(artifact::Role::Rows));
static_assert(LEVIN_ROLE_LOGITS == static_cast<int>(artifact::Role::Logits));
static_assert(LEVIN_ROLE_PAGES == static_cast<int>(artifact::Role::Pages));
static_assert(LEVIN_F8E4M3 == static_cast<int>(artifact::DType::F8E4M3));

static bool isType(levin_dtype type) { return type >= LEVIN_I1 && type <= LEVIN_F8E4M3; }

size_t levin_dtype_size(levin_dtype type) {
  return isType(type) ? artifact::byteSize(static_cast<artifact::DType>(type)) : 0;
}

const char *levin_dtype_name(levin_dtype type) {
  return isType(type) ? artifact::nameOf(static_cast<artifact::DType>(type)) : "";
}

static const artifact::Entry *entryAt(const levin_model *model, size_t index) {
  const auto &entries = model->model->manifest().entries;
  return index < entries.size() ? &entries[index] : nullptr;
}

static Status noEntry(const levin_model *model, size_t index) {
  return makeError(ErrorCode::UnknownEntry, "the artifact has no entry number {}", index)
      .note("have", fmt::format("{} entries", model->model->manifest().entries.size()));
}

levin_status levin_entry_get_info(const levin_model *model, size_t index, levin_entry_info *info,
                                  levin_error **error) {
  LEVIN_CAPI_REQUIRE(model, "model is NULL");
  const artifact::Entry *entry = entryAt(model, index);
  if (!entry)
    return report(noEntry(model, index), error);
  levin_entry_info value{};
  value.name = entry->name.c_str();
  value.is_step = entry->tokens && entry->sequences && entry->rows;
  value.tokens = entry->tokens.value_or(0);
  value.sequences = entry->sequences.value_or(0);
  value.rows = entry->rows.value_or(0);
  value.input_count = entry->inputs.size();
  value.output_count = entry->outputs.size();
  value.state_count = entry->state.size();
  value.workspace_bytes = model->model->manifest().programs[entry->program].ranks[0].workspaceBytes;
  return report(writeStruct(value, info, "levin_entry_info"), error);
}

levin_status levin_entry_find(const levin_model *model, const char *name, size_t *index,
                              levin_error **error) {
  LEVIN_CAPI_REQUIRE(model && name && index, "model, name or index is NULL");
  Result<size_t> found = model->model->findEntry(name);
  if (!found.ok())
    return report(found.takeStatus(), error);
  *index = *found;
  return 0;
}

levin_status levin_binding_get_info(const levin_model *model, size_t entry, levin_binding_kind kind,
                                    size_t index, levin_binding_info *info, levin_error **error) {
  LEVIN_CAPI_REQUIRE(model, "model is NULL");
  LEVIN_CAPI_REQUIRE(kind == LEVIN_INPUT || kind == LEVIN_OUTPUT || kind == LEVIN_STATE,
                     "kind is no levin_binding_kind");
  const artifact::Entry *found = entryAt(model, entry);
  if (!found)
    return report(noEntry(model, entry), error);
  const auto &bindings = kind == LEVIN_INPUT    ? found->inputs
                         : kind == LEVIN_OUTPUT ? found->outputs
                                                : found->state;
  if (index >= bindings.size())
    return report(makeError(ErrorCode::UnknownEntry, "entry '{}' has no binding number {}",
                            found->name, index)
                      .note("have", fmt::format("{} of this kind", bindings.size())),
                  error);
  const artifact::Binding &binding = bindings[index];
  levin_binding_info value{};
  value.name = binding.name.c_str();
  value.role = static_cast<levin_role>(binding.role);
  value.dtype = static_cast<levin_dtype>(binding.type.dtype);
  value.rank = binding.type.shape.size();
  value.shape = binding.type.shape.data();
  value.bytes = artifact::byteSize(binding.type);
  return report(writeStruct(value, info, "levin_binding_info"), error);
}

const char *levin_asset_name(const levin_model *model, size_t index) {
  if (!model || index >= model->model->manifest().assets.size())
    return nullptr;
  return model->model->manifest().assets[index].name.c_str();
}

levin_status levin_asset_data(const levin_model *model, const char *name, const void **data,
                              size_t *size, levin_error **error) {
  LEVIN_CAPI_REQUIRE(model && name && data && size, "model, name, data or size is NULL");
  Result<std::span<const std::byte>> found = model->model->asset(name);
  if (!found.ok())
    return report(found.takeStatus(), error);
  *data = found->data();
  *size = found->size();
  return 0;
}
