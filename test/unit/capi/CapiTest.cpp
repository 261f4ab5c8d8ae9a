#include "runtime/capi/levin.h"

#include "runtime/base/File.h"
#include "test/unit/session/ToyModel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <regex>
#include <thread>

using namespace levin;

namespace {

/// The status of a call that must agree with the error it leaves.
class Error {
public:
  ~Error() { levin_error_free(error); }
  operator levin_error **() {
    levin_error_free(error);
    error = nullptr;
    return &error;
  }
  std::string text() const { return levin_error_text(error); }
  levin_status code() const { return levin_error_code(error); }

private:
  levin_error *error = nullptr;
};

class CapiTest : public testing::Test {
protected:
  void SetUp() override {
    std::vector<Bucket> buckets = {{1, 1, 1}, {16, 4, 4}};
    path = toy::write(folder.path(), buckets);
    ASSERT_EQ(levin_load(path.c_str(), nullptr, &model, error), 0) << error.text();
    levin_session_options options = LEVIN_INIT(levin_session_options);
    options.threads = 2;
    options.validate = 1;
    ASSERT_EQ(levin_session_create(model, &options, &session, error), 0) << error.text();
  }
  void TearDown() override {
    levin_session_free(session);
    levin_model_free(model);
  }

  toy::TemporaryFolder folder;
  std::string path;
  levin_model *model = nullptr;
  levin_session *session = nullptr;
  Error error;
};

TEST_F(CapiTest, VersionAndErrors) {
  EXPECT_STREQ(levin_version(), "0.1.0");
  EXPECT_EQ(levin_error_code(nullptr), 0);
  EXPECT_STREQ(levin_error_text(nullptr), "");
  levin_error_free(nullptr);
  levin_model *none = nullptr;
  EXPECT_EQ(levin_load("/nowhere.lvn", nullptr, &none, error), 3001);
  EXPECT_EQ(error.code(), 3001);
  EXPECT_EQ(error.text().find("error LV3001: "), 0u);
  EXPECT_EQ(none, nullptr);
  EXPECT_EQ(levin_load("/nowhere.lvn", nullptr, &none, nullptr), 3001); // no error object
}

TEST_F(CapiTest, NullArguments) {
  levin_model *none = nullptr;
  levin_model_info info = LEVIN_INIT(levin_model_info);
  int32_t slot;
  uint64_t length;
  size_t count;
  const float *logits;
  const void *data;
  EXPECT_EQ(levin_load(nullptr, nullptr, &none, error), 2009);
  EXPECT_EQ(levin_load(path.c_str(), nullptr, nullptr, error), 2009);
  EXPECT_EQ(levin_model_get_info(nullptr, &info, error), 2009);
  EXPECT_EQ(levin_model_get_info(model, nullptr, error), 2009);
  EXPECT_EQ(levin_entry_find(model, nullptr, &count, error), 2009);
  EXPECT_EQ(levin_asset_data(model, "x", nullptr, &count, error), 2009);
  EXPECT_EQ(levin_asset_data(nullptr, "x", &data, &count, error), 2009);
  EXPECT_EQ(levin_session_create(nullptr, nullptr, &session, error), 2009);
  EXPECT_EQ(levin_slot_acquire(nullptr, &slot, error), 2009);
  EXPECT_EQ(levin_slot_acquire(session, nullptr, error), 2009);
  EXPECT_EQ(levin_slot_length(session, 0, nullptr, error), 2009);
  EXPECT_EQ(levin_slot_length(session, 0, &length, error), 2009);
  EXPECT_EQ(levin_step(session, nullptr, 1, error), 2009);
  EXPECT_EQ(levin_step(nullptr, nullptr, 0, error), 2009);
  EXPECT_EQ(levin_step_rows(session, nullptr, 0, nullptr, nullptr, error), 2009);
  EXPECT_EQ(levin_logits(session, 0, nullptr, nullptr, error), 2009);
  EXPECT_EQ(levin_logits(session, 0, &logits, &count, error), 2009);
  EXPECT_EQ(levin_call(session, nullptr, nullptr, 0, nullptr, 0, error), 2009);
  EXPECT_EQ(levin_call(session, "affine", nullptr, 1, nullptr, 0, error), 2009);
  EXPECT_EQ(levin_sampler_create(nullptr, 5, nullptr, error), 2009);
  EXPECT_EQ(levin_engine_create(nullptr, nullptr, error), 2009);
  EXPECT_EQ(levin_engine_add(nullptr, nullptr, nullptr, error), 2009);
  EXPECT_EQ(levin_engine_run(nullptr, error), 2009);
  EXPECT_EQ(levin_engine_step(nullptr, nullptr, error), 2009);
  EXPECT_EQ(levin_engine_cancel(nullptr, 1, error), 2009);
  EXPECT_EQ(levin_generate(session, nullptr, error), 2009);
  EXPECT_EQ(levin_asset_name(nullptr, 0), nullptr);
}

TEST_F(CapiTest, StructuresOfOtherVersions) {
  levin_load_options unset{};
  levin_model *other = nullptr;
  EXPECT_EQ(levin_load(path.c_str(), &unset, &other, error), 2009);
  // An older caller's is shorter; what it does not know keeps its default.
  levin_load_options older = LEVIN_INIT(levin_load_options);
  older.size = offsetof(levin_load_options, artifact_only);
  older.artifact_only = 1;
  ASSERT_EQ(levin_load(path.c_str(), &older, &other, error), 0) << error.text();
  levin_model_free(other);
  // A newer caller's is longer; that is fine while the new fields are zero.
  struct {
    levin_load_options known;
    int64_t added;
  } newer{};
  newer.known.size = sizeof(newer);
  ASSERT_EQ(levin_load(path.c_str(), &newer.known, &other, error), 0) << error.text();
  levin_model_free(other);
  newer.added = 1;
  EXPECT_EQ(levin_load(path.c_str(), &newer.known, &other, error), 2009);
  levin_model_info shorter{};
  shorter.size = offsetof(levin_model_info, slots);
  shorter.slots = 77;
  ASSERT_EQ(levin_model_get_info(model, &shorter, error), 0);
  EXPECT_EQ(shorter.vocabulary, toy::vocabulary);
  EXPECT_EQ(shorter.slots, 77u);
}

TEST_F(CapiTest, Devices) {
  levin_model *other = nullptr;
  levin_load_options options = LEVIN_INIT(levin_load_options);
  options.device = "host";
  ASSERT_EQ(levin_load(path.c_str(), &options, &other, error), 0) << error.text();
  levin_model_info info = LEVIN_INIT(levin_model_info);
  ASSERT_EQ(levin_model_get_info(other, &info, error), 0);
  EXPECT_STREQ(info.device, "host");
  EXPECT_EQ(info.pages, 0u);
  levin_model_free(other);
  options.device = "cuda:0";
  EXPECT_EQ(levin_load(path.c_str(), &options, &other, error), 3023);
  options.device = "abacus";
  EXPECT_EQ(levin_load(path.c_str(), &options, &other, error), 2002);
  options.device = nullptr;
  options.random_weights = 1;
  EXPECT_EQ(levin_load(path.c_str(), &options, &other, error), 2002);
  EXPECT_EQ(levin_dtype_size(LEVIN_F8E4M3), 1u);
  EXPECT_STREQ(levin_dtype_name(LEVIN_F8E4M3), "f8E4M3FN");
}

TEST_F(CapiTest, Describes) {
  levin_model_info info = LEVIN_INIT(levin_model_info);
  ASSERT_EQ(levin_model_get_info(model, &info, error), 0);
  EXPECT_STREQ(info.family, "toy");
  EXPECT_STREQ(info.target, "host-any");
  EXPECT_EQ(info.vocabulary, toy::vocabulary);
  EXPECT_EQ(info.slots, toy::slots);
  EXPECT_EQ(info.max_context, toy::maxContext);
  EXPECT_EQ(info.begin_token, 1);
  EXPECT_EQ(info.end_token_count, 0u);
  EXPECT_EQ(info.entry_count, 3u);
  EXPECT_EQ(info.asset_count, 1u);
  EXPECT_GT(info.parameter_bytes, 0u);
  EXPECT_GT(info.state_bytes, 0u);
  EXPECT_GT(info.workspace_bytes, 0u);

  size_t index = 99;
  ASSERT_EQ(levin_entry_find(model, "step_16_4_4", &index, error), 0);
  levin_entry_info entry = LEVIN_INIT(levin_entry_info);
  ASSERT_EQ(levin_entry_get_info(model, index, &entry, error), 0);
  EXPECT_TRUE(entry.is_step);
  EXPECT_EQ(entry.tokens, 16u);
  EXPECT_EQ(entry.input_count, 5u);
  levin_binding_info binding = LEVIN_INIT(levin_binding_info);
  ASSERT_EQ(levin_binding_get_info(model, index, LEVIN_OUTPUT, 0, &binding, error), 0);
  EXPECT_STREQ(binding.name, "logits");
  EXPECT_EQ(binding.role, LEVIN_ROLE_LOGITS);
  EXPECT_EQ(binding.dtype, LEVIN_F32);
  ASSERT_EQ(binding.rank, 2u);
  EXPECT_EQ(binding.shape[1], toy::vocabulary);
  ASSERT_EQ(levin_binding_get_info(model, index, LEVIN_STATE, 0, &binding, error), 0);
  EXPECT_STREQ(binding.name, "state");
  EXPECT_EQ(levin_binding_get_info(model, index, LEVIN_INPUT, 5, &binding, error), 2007);
  EXPECT_EQ(levin_binding_get_info(model, 9, LEVIN_INPUT, 0, &binding, error), 2007);
  EXPECT_EQ(
      levin_binding_get_info(model, index, static_cast<levin_binding_kind>(7), 0, &binding, error),
      2009);
  EXPECT_EQ(levin_entry_get_info(model, 9, &entry, error), 2007);
  EXPECT_EQ(levin_entry_find(model, "nothing", &index, error), 2007);

  EXPECT_STREQ(levin_asset_name(model, 0), "toy.json");
  EXPECT_EQ(levin_asset_name(model, 1), nullptr);
  const void *data = nullptr;
  size_t size = 0;
  ASSERT_EQ(levin_asset_data(model, "toy.json", &data, &size, error), 0);
  EXPECT_EQ(std::string(static_cast<const char *>(data), size), "{\"toy\": true}");
  EXPECT_EQ(levin_asset_data(model, "absent", &data, &size, error), 2010);

  levin_load_statistics times = LEVIN_INIT(levin_load_statistics);
  ASSERT_EQ(levin_model_get_load_statistics(model, &times, error), 0);
  EXPECT_GT(times.total_seconds, 0);
  EXPECT_GT(times.weight_bytes, 0u);
  EXPECT_EQ(levin_dtype_size(LEVIN_BF16), 2u);
  EXPECT_STREQ(levin_dtype_name(LEVIN_F32), "f32");
  EXPECT_EQ(levin_dtype_size(static_cast<levin_dtype>(77)), 0u);
  EXPECT_STREQ(levin_dtype_name(static_cast<levin_dtype>(0)), "");
}

TEST_F(CapiTest, LoadOptions) {
  struct Heard {
    std::vector<std::string> lines;
    uint64_t done = 0, total = 1;
  } heard;
  toy::TemporaryFolder empty;
  std::string folders[] = {empty.path(), folder.path()};
  const char *names[] = {folders[0].c_str(), folders[1].c_str()};
  levin_load_options options = LEVIN_INIT(levin_load_options);
  options.weight_folders = names;
  options.weight_folder_count = 2;
  options.threads = 1;
  options.user = &heard;
  options.progress = [](void *user, const char *phase, uint64_t done, uint64_t total) {
    EXPECT_STREQ(phase, "weights");
    static_cast<Heard *>(user)->done = done;
    static_cast<Heard *>(user)->total = total;
  };
  options.log = [](void *user, const char *line) {
    static_cast<Heard *>(user)->lines.emplace_back(line);
  };
  levin_model *other = nullptr;
  ASSERT_EQ(levin_load(path.c_str(), &options, &other, error), 0) << error.text();
  EXPECT_EQ(heard.done, heard.total);
  EXPECT_FALSE(heard.lines.empty());
  levin_model_free(other);
  std::string absent = empty.path() + "/key.pem";
  options.signature_key = absent.c_str();
  EXPECT_EQ(levin_load(path.c_str(), &options, &other, error), 2003);
  options.signature_key = nullptr;
  options.weight_folder_count = 1;
  EXPECT_EQ(levin_load(path.c_str(), &options, &other, error), 1016);
  names[0] = nullptr;
  EXPECT_EQ(levin_load(path.c_str(), &options, &other, error), 2009);
  options.weight_folders = nullptr;
  EXPECT_EQ(levin_load(path.c_str(), &options, &other, error), 2009);
  // A weight file with one bit changed.
  std::string weights = folder.path() + "/toy.safetensors", bytes = *readFile(weights);
  bytes.back() ^= 1;
  std::ofstream(weights) << bytes;
  EXPECT_EQ(levin_load(path.c_str(), nullptr, &other, error), 1017);
  levin_load_options unchecked = LEVIN_INIT(levin_load_options);
  unchecked.skip_weight_digests = 1;
  EXPECT_EQ(levin_load(path.c_str(), &unchecked, &other, error), 0);
  levin_model_free(other);
}

TEST_F(CapiTest, StepAndLogits) {
  std::vector<int32_t> first = {1, 2, 3, 4, 5}, second = {6, 7};
  int32_t slots[2];
  for (int32_t &slot : slots)
    ASSERT_EQ(levin_slot_acquire(session, &slot, error), 0);
  levin_sequence sequences[] = {{slots[1], LEVIN_LOGITS_ALL, first.data(), first.size()},
                                {slots[0], LEVIN_LOGITS_LAST, second.data(), second.size()}};
  ASSERT_EQ(levin_step(session, sequences, 2, error), 0) << error.text();
  const float *logits = nullptr;
  size_t rows = 0;
  ASSERT_EQ(levin_logits(session, 0, &logits, &rows, error), 0);
  ASSERT_EQ(rows, 5u);
  std::vector<float> wanted = toy::reference(first);
  for (size_t i = 0; i < wanted.size(); ++i)
    EXPECT_NEAR(logits[i], wanted[i], 1e-5);
  ASSERT_EQ(levin_logits(session, 1, &logits, &rows, error), 0);
  ASSERT_EQ(rows, 1u);
  wanted = toy::reference(second);
  for (size_t v = 0; v < toy::vocabulary; ++v)
    EXPECT_NEAR(logits[v], wanted[toy::vocabulary + v], 1e-5);
  uint64_t length = 0;
  ASSERT_EQ(levin_slot_length(session, slots[1], &length, error), 0);
  EXPECT_EQ(length, 5u);
  sequences[0].logits = static_cast<levin_logits_mode>(9);
  EXPECT_EQ(levin_step(session, sequences, 1, error), 2009);
  sequences[0] = {slots[1], LEVIN_LOGITS_NONE, nullptr, 3};
  EXPECT_EQ(levin_step(session, sequences, 1, error), 2009);
  sequences[0] = {slots[1], LEVIN_LOGITS_NONE, first.data(), 2};
  ASSERT_EQ(levin_step(session, sequences, 1, error), 0);
  ASSERT_EQ(levin_logits(session, 0, &logits, &rows, error), 0);
  EXPECT_EQ(rows, 0u);
  EXPECT_EQ(levin_logits(session, 1, &logits, &rows, error), 2009);
  ASSERT_EQ(levin_slot_reset(session, slots[1], error), 0);
  ASSERT_EQ(levin_slot_release(session, slots[1], error), 0);
  EXPECT_EQ(levin_slot_release(session, slots[1], error), 2009);
  levin_statistics counts = LEVIN_INIT(levin_statistics);
  ASSERT_EQ(levin_session_get_statistics(session, &counts, error), 0);
  EXPECT_EQ(counts.tokens, 9u);
}

// A callback that calls into its own session, and a second thread, are refused, not raced.
TEST_F(CapiTest, BusySessions) {
  int32_t slot;
  ASSERT_EQ(levin_slot_acquire(session, &slot, error), 0);
  int32_t token = 1;
  levin_sequence sequence = {slot, LEVIN_LOGITS_ALL, &token, 1};
  auto onRow = [](void *user, size_t, size_t, const float *) {
    auto *session = static_cast<levin_session *>(user);
    int32_t other;
    EXPECT_EQ(levin_slot_acquire(session, &other, nullptr), 2009);
    std::thread([&] { EXPECT_EQ(levin_slot_reset(session, 0, nullptr), 2009); }).join();
  };
  EXPECT_EQ(levin_step_rows(session, &sequence, 1, onRow, session, error), 0);
  EXPECT_EQ(levin_slot_reset(session, slot, error), 0);
}

TEST_F(CapiTest, Call) {
  std::vector<float> x(24, 2), y(24);
  uint64_t shape[] = {24};
  levin_tensor in = {"x", LEVIN_F32, 1, shape, x.data(), 96};
  levin_tensor out = {nullptr, LEVIN_F32, 1, shape, y.data(), 96};
  ASSERT_EQ(levin_call(session, "affine", &in, 1, &out, 1, error), 0) << error.text();
  for (size_t i = 0; i < y.size(); ++i)
    EXPECT_EQ(y[i], 6 + static_cast<float>(i));
  EXPECT_EQ(levin_call(session, "afine", &in, 1, &out, 1, error), 2007);
  in.dtype = static_cast<levin_dtype>(55);
  EXPECT_EQ(levin_call(session, "affine", &in, 1, &out, 1, error), 2009);
  in.dtype = LEVIN_I32;
  EXPECT_EQ(levin_call(session, "affine", &in, 1, &out, 1, error), 2003);
  in.rank = size_t(1) << 60;
  EXPECT_EQ(levin_call(session, "affine", &in, 1, &out, 1, error), 2009);
  in = {"x", LEVIN_F32, 1, nullptr, x.data(), 96};
  EXPECT_EQ(levin_call(session, "affine", &in, 1, &out, 1, error), 2009);
}

TEST_F(CapiTest, Sampler) {
  levin_sampling sampling = LEVIN_INIT(levin_sampling);
  sampling.logprobs = 2;
  levin_sampler *sampler = nullptr;
  ASSERT_EQ(levin_sampler_create(&sampling, 3, &sampler, error), 0);
  int32_t prompt[] = {0, 3};
  EXPECT_EQ(levin_sampler_prompt(sampler, prompt, 1, error), 0);
  EXPECT_EQ(levin_sampler_prompt(sampler, prompt, 2, error), 2008);
  float logits[] = {0, 2, 1};
  levin_choice choice;
  ASSERT_EQ(levin_sampler_sample(sampler, logits, &choice, error), 0);
  EXPECT_EQ(choice.token, 1);
  ASSERT_EQ(choice.alternative_count, 2u);
  EXPECT_EQ(choice.alternatives[1].token, 2);
  EXPECT_EQ(choice.alternatives[0].logprob, choice.logprob);
  logits[2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(levin_sampler_sample(sampler, logits, &choice, error), 9001);
  levin_sampler_free(sampler);
  sampling.temperature = -1;
  EXPECT_EQ(levin_sampler_create(&sampling, 3, &sampler, error), 2002);
}

struct Heard {
  std::vector<int32_t> tokens;
  levin_result result{};
  size_t limit = SIZE_MAX;
};

levin_request requestFor(Heard &heard, const std::vector<int32_t> &prompt, uint64_t maxTokens) {
  levin_request request = LEVIN_INIT(levin_request);
  request.prompt = prompt.data();
  request.prompt_count = prompt.size();
  request.max_tokens = maxTokens;
  request.user = &heard;
  request.on_token = [](void *user, uint64_t, const levin_choice *choice) {
    auto *heard = static_cast<Heard *>(user);
    heard->tokens.push_back(choice->token);
    return heard->tokens.size() == heard->limit ? 1 : 0;
  };
  request.on_finish = [](void *user, uint64_t, const levin_result *result) {
    static_cast<Heard *>(user)->result = *result;
  };
  return request;
}

TEST_F(CapiTest, Generate) {
  std::vector<int32_t> prompt = {1, 5, 7};
  Heard heard;
  levin_request request = requestFor(heard, prompt, 10);
  ASSERT_EQ(levin_generate(session, &request, error), 0) << error.text();
  EXPECT_EQ(heard.tokens, toy::greedy(prompt, 10));
  EXPECT_EQ(heard.result.finish, LEVIN_FINISH_LENGTH);
  EXPECT_EQ(heard.result.generated_tokens, 10u);
  int32_t end = toy::greedy(prompt, 10)[4];
  request.end_tokens = &end;
  request.end_token_count = 1;
  Heard ended;
  request.user = &ended;
  ASSERT_EQ(levin_generate(session, &request, error), 0);
  EXPECT_EQ(ended.result.finish, LEVIN_FINISH_END);
  request.prompt_count = 0;
  EXPECT_EQ(levin_generate(session, &request, error), 2009);
  request.prompt = nullptr;
  request.prompt_count = 2;
  EXPECT_EQ(levin_generate(session, &request, error), 2009);
}

TEST_F(CapiTest, Engine) {
  levin_engine *engine = nullptr;
  ASSERT_EQ(levin_engine_create(session, &engine, error), 0);
  std::vector<std::vector<int32_t>> prompts;
  std::vector<Heard> heard(8);
  heard[3].limit = 2;
  uint64_t cancelled = 0;
  for (int32_t i = 0; i < 8; ++i) {
    prompts.push_back({i, i + 1, 3});
    levin_request request = requestFor(heard[static_cast<size_t>(i)], prompts.back(), 6);
    ASSERT_EQ(levin_engine_add(engine, &request, i == 7 ? &cancelled : nullptr, error), 0);
  }
  size_t active = 0;
  ASSERT_EQ(levin_engine_step(engine, &active, error), 0);
  EXPECT_EQ(active, 8u);
  ASSERT_EQ(levin_engine_cancel(engine, cancelled, error), 0);
  EXPECT_EQ(levin_engine_cancel(engine, 99, error), 2009);
  ASSERT_EQ(levin_engine_run(engine, error), 0);
  for (size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(heard[i].tokens, toy::greedy(prompts[i], i == 3 ? 2 : 6));
    EXPECT_EQ(heard[i].result.finish, i == 3 ? LEVIN_FINISH_STOPPED : LEVIN_FINISH_LENGTH);
  }
  EXPECT_EQ(heard[7].result.finish, LEVIN_FINISH_CANCELLED);
  levin_engine_free(engine);
}

// Objects keep what they need alive.
TEST_F(CapiTest, FreedInAnyOrder) {
  levin_engine *engine = nullptr;
  ASSERT_EQ(levin_engine_create(session, &engine, error), 0);
  std::vector<int32_t> prompt = {1};
  Heard heard;
  levin_request request = requestFor(heard, prompt, 3);
  ASSERT_EQ(levin_engine_add(engine, &request, nullptr, error), 0);
  levin_model_free(model);
  levin_session_free(session);
  model = nullptr;
  session = nullptr;
  EXPECT_EQ(levin_engine_run(engine, error), 0);
  EXPECT_EQ(heard.tokens.size(), 3u);
  levin_engine_free(engine);
}

// docs/c-api.md shows the example as it is, and names every function.
TEST(CapiDocs, AreCurrent) {
  std::string source = LEVIN_SOURCE_DIR;
  auto read = readFile(source + "/docs/c-api.md");
  ASSERT_TRUE(read.ok()) << read.status().text();
  const std::string &page = *read;
  EXPECT_NE(page.find("```c\n" + *readFile(source + "/docs/examples/c/generate.c") + "```\n"),
            std::string::npos);
  std::string header = *readFile(source + "/runtime/capi/levin.h");
  std::regex declaration("LEVIN_API[^(]*?(levin_[a-z_]+)\\(");
  for (std::sregex_iterator it(header.begin(), header.end(), declaration), end; it != end; ++it)
    EXPECT_NE(page.find((*it)[1].str()), std::string::npos) << (*it)[1].str();
}

} // namespace
