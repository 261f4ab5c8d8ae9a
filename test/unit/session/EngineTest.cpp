#include "runtime/session/Engine.h"

#include "test/unit/session/ToyModel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

using namespace levin;

namespace {

struct Outcome {
  std::vector<int32_t> tokens;
  RequestResult result;
  int finishes = 0;
};

class EngineTest : public testing::Test {
protected:
  EngineTest() { open({}); }
  void open(const toy::Kind &kind) {
    std::vector<Bucket> buckets = {{1, 1, 1}, {4, 4, 4}, {16, 3, 3}, {32, 5, 5}};
    auto model = Model::load(toy::write(folder.path(), buckets, kind), {});
    EXPECT_TRUE(model.ok()) << model.status().text();
    engine.reset();
    session = std::move(*Session::create(*model, {2, true, 0, 0}));
    engine = std::make_unique<Engine>(*session);
  }

  Request request(std::vector<int32_t> prompt, uint64_t maxTokens, Sampling sampling = {}) {
    Request request;
    request.prompt = std::move(prompt);
    request.maxTokens = maxTokens;
    request.sampling = sampling;
    request.onToken = [this](uint64_t id, const Choice &choice) {
      outcomes[id].tokens.push_back(choice.token);
      return false;
    };
    request.onFinish = [this](uint64_t id, const RequestResult &result) {
      outcomes[id].result = result;
      ++outcomes[id].finishes;
    };
    return request;
  }

  uint64_t add(Request request) {
    auto id = engine->add(std::move(request));
    EXPECT_TRUE(id.ok()) << id.status().text();
    return *id;
  }
  void run() {
    Status status = engine->run();
    EXPECT_TRUE(status.ok()) << status.text();
    EXPECT_EQ(engine->active(), 0u);
    EXPECT_EQ(session->freeSlots(), session->slots());
  }

  toy::TemporaryFolder folder;
  std::unique_ptr<Session> session;
  std::map<uint64_t, Outcome> outcomes;
  std::unique_ptr<Engine> engine;
};

TEST_F(EngineTest, GreedyAlone) {
  std::vector<int32_t> prompt = {1, 5, 7};
  uint64_t id = add(request(prompt, 12));
  run();
  EXPECT_EQ(outcomes[id].tokens, toy::greedy(prompt, 12));
  const RequestResult &result = outcomes[id].result;
  EXPECT_EQ(result.finish, Finish::Length);
  EXPECT_EQ(result.promptTokens, 3u);
  EXPECT_EQ(result.generatedTokens, 12u);
  EXPECT_GE(result.totalSeconds, result.queueSeconds + result.firstTokenSeconds);
  EXPECT_EQ(outcomes[id].finishes, 1);
}

// More requests than slots, of all lengths, greedy and sampled: each gets what it gets alone.
TEST_F(EngineTest, TogetherEqualsAlone) {
  std::mt19937 random(11);
  std::vector<Request> requests;
  for (int i = 0; i < 30; ++i) {
    std::vector<int32_t> prompt(1 + random() % 80);
    for (int32_t &token : prompt)
      token = static_cast<int32_t>(random() % toy::vocabulary);
    Sampling sampling;
    if (i % 2)
      sampling = {.temperature = 1.5f, .topP = 0.9f, .seed = random()};
    requests.push_back(request(prompt, 1 + random() % 20, sampling));
  }
  std::vector<std::vector<int32_t>> alone;
  for (const Request &one : requests) {
    uint64_t id = add(one);
    run();
    alone.push_back(outcomes[id].tokens);
  }
  std::vector<uint64_t> ids;
  for (size_t i = 0; i < requests.size(); ++i) {
    ids.push_back(add(requests[i]));
    if (i % 3 == 0) // some arrive while others run
      ASSERT_TRUE(engine->step().ok());
  }
  run();
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(outcomes[ids[i]].tokens, alone[i]) << i;
    EXPECT_EQ(alone[i].size(), requests[i].maxTokens);
  }
}

TEST_F(EngineTest, EndTokensAreNotReported) {
  std::vector<int32_t> prompt = {1, 5, 7}, answer = toy::greedy(prompt, 12);
  Request wanted = request(prompt, 12);
  wanted.endTokens = {answer[5]};
  uint64_t id = add(wanted);
  run();
  EXPECT_EQ(outcomes[id].result.finish, Finish::End);
  auto first = std::ranges::find(answer, answer[5]);
  EXPECT_EQ(outcomes[id].tokens, std::vector<int32_t>(answer.begin(), first));
}

TEST_F(EngineTest, CallbackStops) {
  Request wanted = request({2}, 50);
  auto count = wanted.onToken;
  wanted.onToken = [&, count](uint64_t id, const Choice &choice) {
    count(id, choice);
    return outcomes[id].tokens.size() == 3;
  };
  uint64_t id = add(wanted);
  run();
  EXPECT_EQ(outcomes[id].result.finish, Finish::Stopped);
  EXPECT_EQ(outcomes[id].tokens.size(), 3u);
}

TEST_F(EngineTest, ContextEnds) {
  std::vector<int32_t> prompt(toy::maxContext - 3, 4);
  uint64_t id = add(request(prompt, 0)), full = add(request(std::vector<int32_t>(2000, 4), 0));
  run();
  EXPECT_EQ(outcomes[id].result.finish, Finish::Context);
  EXPECT_EQ(outcomes[id].tokens.size(), 4u); // the last one is never fed
  EXPECT_EQ(outcomes[full].tokens.size(), 1u);
}

TEST_F(EngineTest, CallbacksMayAddAndCancel) {
  uint64_t other = add(request({3}, 1000)), late = 0;
  Request wanted = request({2}, 5);
  wanted.onToken = [&](uint64_t id, const Choice &) {
    if (late == 0) {
      late = add(request({4}, 2));
      EXPECT_TRUE(engine->cancel(other).ok());
      EXPECT_EQ(engine->cancel(other).number(), 2009);
      EXPECT_EQ(engine->active(), 3u);
    }
    return false;
  };
  add(wanted);
  run();
  EXPECT_EQ(outcomes[other].result.finish, Finish::Cancelled);
  EXPECT_EQ(outcomes[late].tokens.size(), 2u);
  EXPECT_EQ(engine->cancel(late).number(), 2009);
}

TEST_F(EngineTest, CancelWaitingRequest) {
  std::vector<uint64_t> ids;
  for (int i = 0; i < 7; ++i)
    ids.push_back(add(request({3}, 100)));
  ASSERT_TRUE(engine->step().ok());
  EXPECT_EQ(session->freeSlots(), 0u);
  for (uint64_t id : ids)
    ASSERT_TRUE(engine->cancel(id).ok());
  EXPECT_EQ(engine->active(), 0u);
  EXPECT_EQ(outcomes[ids[6]].result.finish, Finish::Cancelled);
  EXPECT_EQ(outcomes[ids[6]].tokens.size(), 0u);
  run();
}

TEST_F(EngineTest, EndOfTheEngineCancels) {
  uint64_t id = add(request({3}, 100));
  ASSERT_TRUE(engine->step().ok());
  engine.reset();
  EXPECT_EQ(outcomes[id].result.finish, Finish::Cancelled);
  EXPECT_EQ(session->freeSlots(), session->slots());
}

TEST_F(EngineTest, AddErrors) {
  auto refused = [&](Request request) {
    auto id = engine->add(std::move(request));
    return id.ok() ? 0 : id.status().number();
  };
  EXPECT_EQ(refused(request({}, 1)), 2009);
  EXPECT_EQ(refused(request({1, 11}, 1)), 2008);
  EXPECT_EQ(refused(request({-1}, 1)), 2008);
  EXPECT_EQ(refused(request(std::vector<int32_t>(2001, 1), 1)), 4002);
  EXPECT_EQ(refused(request({1}, 1, {.temperature = -1})), 2002);
  EXPECT_EQ(engine->active(), 0u);
}

TEST_F(EngineTest, AllSlotsAreElsewhere) {
  for (size_t i = 0; i < session->slots(); ++i)
    ASSERT_TRUE(session->acquireSlot().ok());
  add(request({1}, 3));
  EXPECT_EQ(engine->run().number(), 4003);
  ASSERT_TRUE(session->releaseSlot(3).ok());
  EXPECT_TRUE(engine->run().ok());
}

// --- Pages ---------------------------------------------------------------------------------------

// Pages for two or three of the requests at a time: the others wait, and each gets what it gets
// alone.
TEST_F(EngineTest, RequestsWaitForPages) {
  open({false, 12}); // of 8 tokens
  std::vector<uint64_t> ids;
  std::vector<std::vector<int32_t>> prompts;
  for (int32_t i = 0; i < 8; ++i) {
    prompts.push_back(std::vector<int32_t>(static_cast<size_t>(20 + i), i));
    ids.push_back(add(request(prompts.back(), 10)));
  }
  run();
  for (size_t i = 0; i < ids.size(); ++i)
    EXPECT_EQ(outcomes[ids[i]].tokens, toy::greedy(prompts[i], 10)) << i;
  EXPECT_EQ(session->unusedPages(), 12u);
}

// Answers that outgrow the pages: the newer begins again when the older has ended.  What needs more
// pages than there are fails alone.
TEST_F(EngineTest, AnswersOutgrowThePages) {
  open({false, 10});
  Sampling sampling{.temperature = 1.5f, .seed = 5};
  uint64_t alone = add(request({4, 5, 6}, 60, sampling));
  run();
  uint64_t old = add(request({1, 2, 3}, 60)), fresh = add(request({4, 5, 6}, 60, sampling)),
           huge = add(request(std::vector<int32_t>(100, 2), 1));
  Status status = engine->run();
  EXPECT_EQ(outcomes[old].tokens, toy::greedy({1, 2, 3}, 60));
  EXPECT_EQ(outcomes[fresh].result.finish, Finish::Length);
  EXPECT_EQ(outcomes[fresh].result.promptTokens, 3u);
  EXPECT_EQ(outcomes[fresh].tokens, outcomes[alone].tokens);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::PagesFull) << status.text();
  EXPECT_EQ(outcomes[huge].result.finish, Finish::Failed);
  EXPECT_EQ(engine->active(), 0u);
  EXPECT_EQ(session->unusedPages(), 10u);
}

} // namespace
