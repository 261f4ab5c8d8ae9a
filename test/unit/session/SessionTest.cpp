#include "runtime/session/Session.h"

#include "test/unit/session/ToyModel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <thread>

using namespace levin;

namespace {

const std::vector<Bucket> manyBuckets = {{1, 1, 1}, {4, 4, 4}, {16, 2, 3}, {64, 5, 8}};

std::vector<int32_t> randomTokens(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t &token : tokens)
    token = static_cast<int32_t>(random() % toy::vocabulary);
  return tokens;
}

class SessionTest : public testing::Test {
protected:
  void open(std::span<const Bucket> buckets, SessionOptions options = {2, true, 0, 0}) {
    std::string path = toy::write(folder.path(), buckets);
    auto loaded = Model::load(path, {});
    ASSERT_TRUE(loaded.ok()) << loaded.status().text();
    model = *loaded;
    auto made = Session::create(model, options);
    ASSERT_TRUE(made.ok()) << made.status().text();
    session = std::move(*made);
  }

  /// The logits of every row that a step hands over, by sequence and position.
  using Rows = std::map<std::pair<size_t, size_t>, std::vector<float>>;
  Rows step(std::span<const StepSequence> sequences) {
    Rows rows;
    Status status =
        session->step(sequences, [&](size_t sequence, size_t position, const float *logits) {
          bool isNew =
              rows.insert({{sequence, position}, {logits, logits + toy::vocabulary}}).second;
          EXPECT_TRUE(isNew) << "a row came twice";
        });
    EXPECT_TRUE(status.ok()) << status.text();
    return rows;
  }

  /// Expects `row` to be that of position `position` of `tokens`.
  static void expectRow(const std::vector<float> &row, std::span<const int32_t> tokens,
                        size_t position) {
    std::vector<float> wanted = toy::reference(tokens.first(position + 1));
    for (size_t v = 0; v < toy::vocabulary; ++v)
      ASSERT_NEAR(row[v], wanted[position * toy::vocabulary + v], 1e-5) << position << " " << v;
  }

  toy::TemporaryFolder folder;
  std::shared_ptr<const Model> model;
  std::unique_ptr<Session> session;
};

TEST_F(SessionTest, PromptInOnePiece) {
  open(manyBuckets);
  std::vector<int32_t> tokens = randomTokens(200, 1);
  int32_t slot = *session->acquireSlot();
  Rows rows = step({{{slot, LogitsMode::All, tokens}}});
  ASSERT_EQ(rows.size(), tokens.size());
  for (size_t t = 0; t < tokens.size(); ++t)
    expectRow(rows[{0, t}], tokens, t);
  EXPECT_EQ(*session->slotLength(slot), 200u);
}

// Any split, packing, bucket, slot order and slot reuse; the workspace holds NaN before each run.
TEST_F(SessionTest, AnySplitAndPacking) {
  for (const std::vector<Bucket> &buckets :
       {manyBuckets, std::vector<Bucket>{{1, 1, 1}}, std::vector<Bucket>{{7, 3, 2}},
        std::vector<Bucket>{{64, 5, 64}}, std::vector<Bucket>{{2, 1, 1}, {32, 4, 1}}}) {
    open(buckets);
    std::mt19937 random(7);
    for (int round = 0; round < 20; ++round) {
      size_t count = 1 + random() % toy::slots;
      std::vector<std::vector<int32_t>> texts;
      std::vector<int32_t> slots;
      std::vector<size_t> fed(count, 0);
      for (size_t s = 0; s < count; ++s) {
        texts.push_back(randomTokens(1 + random() % 90, random()));
        slots.push_back(*session->acquireSlot());
      }
      std::shuffle(slots.begin(), slots.end(), random);
      while (true) {
        std::vector<StepSequence> work;
        std::vector<size_t> who;
        for (size_t s = 0; s < count; ++s) {
          size_t left = texts[s].size() - fed[s];
          if (left == 0 || random() % 4 == 0)
            continue;
          size_t take = 1 + random() % left;
          auto mode = static_cast<LogitsMode>(random() % 3);
          work.push_back({slots[s], mode, std::span(texts[s]).subspan(fed[s], take)});
          who.push_back(s);
        }
        Rows rows = step(work);
        size_t expected = 0;
        for (size_t i = 0; i < work.size(); ++i) {
          size_t s = who[i], length = work[i].tokens.size();
          expected += work[i].logits == LogitsMode::All    ? length
                      : work[i].logits == LogitsMode::Last ? 1
                                                           : 0;
          for (size_t t = 0; t < length; ++t)
            if (rows.contains({i, t}))
              expectRow(rows[{i, t}], texts[s], fed[s] + t);
          if (work[i].logits == LogitsMode::Last)
            EXPECT_TRUE(rows.contains({i, length - 1}));
          fed[s] += length;
        }
        ASSERT_EQ(rows.size(), expected);
        bool all = true;
        for (size_t s = 0; s < count; ++s)
          all &= fed[s] == texts[s].size();
        if (all)
          break;
      }
      for (int32_t slot : slots)
        ASSERT_TRUE(session->releaseSlot(slot).ok());
    }
  }
}

TEST_F(SessionTest, ResetStartsAnew) {
  open(manyBuckets);
  std::vector<int32_t> first = randomTokens(30, 2), second = randomTokens(3, 3);
  int32_t slot = *session->acquireSlot();
  step({{{slot, LogitsMode::None, first}}});
  ASSERT_TRUE(session->resetSlot(slot).ok());
  EXPECT_EQ(*session->slotLength(slot), 0u);
  Rows rows = step({{{slot, LogitsMode::Last, second}}});
  expectRow(rows[{0, 2}], second, 2);
}

TEST_F(SessionTest, SlotErrors) {
  open(manyBuckets);
  for (size_t i = 0; i < toy::slots; ++i)
    EXPECT_EQ(*session->acquireSlot(), static_cast<int32_t>(i));
  EXPECT_EQ(session->acquireSlot().status().number(), 4003);
  EXPECT_EQ(session->releaseSlot(-1).number(), 2009);
  EXPECT_EQ(session->releaseSlot(5).number(), 2009);
  EXPECT_TRUE(session->releaseSlot(2).ok());
  EXPECT_EQ(session->releaseSlot(2).number(), 2009);
  EXPECT_EQ(session->resetSlot(2).number(), 2009);
  EXPECT_EQ(session->slotLength(2).status().number(), 2009);
  EXPECT_EQ(session->freeSlots(), 1u);
  EXPECT_EQ(*session->acquireSlot(), 2);
}

TEST_F(SessionTest, StepErrorsChangeNothing) {
  open(manyBuckets);
  int32_t slot = *session->acquireSlot();
  auto sink = [](size_t, size_t, const float *) { FAIL() << "a row of a refused step"; };
  auto refused = [&](std::vector<StepSequence> sequences) {
    Status status = session->step(sequences, sink);
    EXPECT_EQ(*session->slotLength(slot), 0u);
    return status.ok() ? 0 : status.number();
  };
  std::vector<int32_t> good = {1, 2}, high = {1, 11}, low = {-1}, long_(2001, 1);
  EXPECT_EQ(refused({{slot, LogitsMode::Last, high}}), 2008);
  EXPECT_EQ(refused({{slot, LogitsMode::Last, low}}), 2008);
  EXPECT_EQ(refused({{slot, LogitsMode::Last, long_}}), 4002);
  EXPECT_EQ(refused({{slot, LogitsMode::Last, {}}}), 2009);
  EXPECT_EQ(refused({{slot, LogitsMode::Last, good}, {slot, LogitsMode::Last, good}}), 2009);
  EXPECT_EQ(refused({{3, LogitsMode::Last, good}}), 2009);
  EXPECT_EQ(refused({{99, LogitsMode::Last, good}}), 2009);
  EXPECT_TRUE(session->step({}, sink).ok());
}

TEST_F(SessionTest, ContextFillsExactly) {
  open(manyBuckets);
  int32_t slot = *session->acquireSlot();
  std::vector<int32_t> all(toy::maxContext, 3), one = {3};
  step({{{slot, LogitsMode::Last, all}}});
  EXPECT_EQ(session->step({{{slot, LogitsMode::Last, one}}}, {}).number(), 4002);
}

TEST_F(SessionTest, Statistics) {
  open(std::vector<Bucket>{{16, 2, 2}});
  int32_t slot = *session->acquireSlot();
  step({{{slot, LogitsMode::Last, randomTokens(20, 1)}}});
  const SessionStatistics &counts = session->statistics();
  EXPECT_EQ(counts.runs, 2u);
  EXPECT_EQ(counts.tokens, 20u);
  EXPECT_EQ(counts.paddingTokens, 12u);
  EXPECT_EQ(counts.rows, 1u);
  EXPECT_EQ(counts.launches, 4u);
  EXPECT_GT(counts.seconds, 0);
}

TEST_F(SessionTest, NoStepEntries) {
  open({});
  EXPECT_EQ(session->slots(), 0u);
  EXPECT_EQ(session->acquireSlot().status().number(), 4003);
  std::vector<int32_t> good = {1};
  EXPECT_EQ(session->step({{{0, LogitsMode::Last, good}}}, {}).number(), 2010);
}

// --- Calls ---------------------------------------------------------------------------------------

using artifact::DType;

template <typename T> CallTensor tensor(std::string_view name, DType type, std::vector<T> &values) {
  return {name, {type, {values.size()}}, std::as_writable_bytes(std::span(values))};
}

TEST_F(SessionTest, CallPlainEntry) {
  open(manyBuckets);
  std::vector<float> x(24), y(24);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<float>(i) / 4;
  for (std::string_view name : {"x", ""}) {
    std::vector<CallTensor> in = {tensor(name, DType::F32, x)},
                            out = {tensor(name.empty() ? "" : "y", DType::F32, y)};
    Status status = session->call("affine", in, out);
    ASSERT_TRUE(status.ok()) << status.text();
    for (size_t i = 0; i < x.size(); ++i)
      EXPECT_EQ(y[i], 3 * x[i] + static_cast<float>(i));
  }
  EXPECT_TRUE(session->call("affine", {{tensor("x", DType::F32, x)}}, {}).ok());
}

TEST_F(SessionTest, CallErrors) {
  open(manyBuckets);
  std::vector<float> x(24), y(24), short_(3);
  auto call = [&](std::string_view entry, std::vector<CallTensor> in, std::vector<CallTensor> out) {
    Status status = session->call(entry, in, out);
    return status.ok() ? 0 : status.number();
  };
  CallTensor good = tensor("x", DType::F32, x), result = tensor("y", DType::F32, y);
  EXPECT_EQ(call("affin", {good}, {result}), 2007);
  EXPECT_NE(session->call("affin", {}, {}).text().find("did you mean 'affine'?"),
            std::string::npos);
  EXPECT_EQ(call("affine", {}, {result}), 2007);
  EXPECT_EQ(call("affine", {good, good}, {result}), 2007);
  EXPECT_EQ(call("affine", {good, tensor("", DType::F32, x)}, {result}), 2007);
  EXPECT_EQ(call("affine", {tensor("z", DType::F32, x)}, {result}), 2007);
  EXPECT_EQ(call("affine", {good}, {tensor("z", DType::F32, y)}), 2007);
  EXPECT_EQ(call("affine", {tensor("x", DType::I32, x)}, {result}), 2003);
  EXPECT_EQ(call("affine", {tensor("x", DType::F32, short_)}, {result}), 2003);
  good.bytes = good.bytes.first(8);
  EXPECT_EQ(call("affine", {good}, {result}), 2003);
}

TEST_F(SessionTest, CallStepEntryChecksRoles) {
  open(std::vector<Bucket>{{4, 2, 2}});
  auto call = [&](std::vector<int32_t> ids, std::vector<int32_t> starts, std::vector<int32_t> slots,
                  std::vector<int32_t> past, std::vector<int32_t> rows) {
    std::vector<float> logits(2 * toy::vocabulary);
    CallTensor out{
        "logits", {DType::F32, {2, toy::vocabulary}}, std::as_writable_bytes(std::span(logits))};
    std::vector<CallTensor> in = {
        tensor("ids", DType::I32, ids), tensor("starts", DType::I32, starts),
        tensor("slots", DType::I32, slots), tensor("past", DType::I32, past),
        tensor("rows", DType::I32, rows)};
    Status status = session->call("step_4_2_2", in, {{out}});
    return status.ok() ? 0 : status.number();
  };
  EXPECT_EQ(call({1, 2, 3, 4}, {0, 2, 4}, {0, 1}, {0, 0}, {1, 3}), 0);
  EXPECT_EQ(call({1, 2, 3, 4}, {0, 2, 2}, {0, 77}, {0, -5}, {1, 3}), 0); // sequence 1 is empty
  EXPECT_EQ(call({1, 2, 3, 11}, {0, 2, 4}, {0, 1}, {0, 0}, {1, 3}), 2008);
  EXPECT_EQ(call({1, 2, 3, 4}, {1, 2, 4}, {0, 1}, {0, 0}, {1, 3}), 2003);
  EXPECT_EQ(call({1, 2, 3, 4}, {0, 3, 2}, {0, 1}, {0, 0}, {1, 3}), 2003);
  EXPECT_EQ(call({1, 2, 3, 4}, {0, 2, 5}, {0, 1}, {0, 0}, {1, 3}), 2003);
  EXPECT_EQ(call({1, 2, 3, 4}, {0, 2, 4}, {0, 5}, {0, 0}, {1, 3}), 2003);
  EXPECT_EQ(call({1, 2, 3, 4}, {0, 2, 4}, {1, 1}, {0, 0}, {1, 3}), 2003);
  EXPECT_EQ(call({1, 2, 3, 4}, {0, 2, 4}, {0, 1}, {0, 1999}, {1, 3}), 2003);
  EXPECT_EQ(call({1, 2, 3, 4}, {0, 2, 4}, {0, 1}, {-1, 0}, {1, 3}), 2003);
  EXPECT_EQ(call({1, 2, 3, 4}, {0, 2, 4}, {0, 1}, {0, 0}, {1, 4}), 2003);
  EXPECT_EQ(call({1, 2, 3, 4}, {0, 2, 4}, {0, 1}, {0, 0}, {-1, 3}), 2003);
}

// --- Limits --------------------------------------------------------------------------------------

TEST_F(SessionTest, MemoryLimits) {
  open(manyBuckets);
  uint64_t state = model->arenaBytes(artifact::ArenaKind::State);
  uint64_t workspace = model->arenaBytes(artifact::ArenaKind::Workspace);
  for (uint64_t limit : {uint64_t(1), state - 1, state, state + workspace - 1}) {
    auto made = Session::create(model, {1, false, limit});
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.status().number(), 4103);
  }
  EXPECT_TRUE(Session::create(model, {1, false, state + workspace}).ok());
  EXPECT_EQ(Session::create(model, {100000, false, 0}).status().number(), 2009);
}

TEST_F(SessionTest, SessionsShareAModel) {
  open(manyBuckets);
  auto other = std::move(*Session::create(model, {1, false, 0}));
  std::vector<int32_t> mine = randomTokens(20, 4), its = randomTokens(20, 5);
  int32_t slot = *session->acquireSlot();
  ASSERT_EQ(*other->acquireSlot(), slot);
  step({{{slot, LogitsMode::None, std::span(mine).first(10)}}});
  ASSERT_TRUE(other->step({{{slot, LogitsMode::None, std::span(its)}}}, {}).ok());
  Rows rows = step({{{slot, LogitsMode::Last, std::span(mine).subspan(10)}}});
  expectRow(rows[{0, 9}], mine, 19);
}

TEST_F(SessionTest, SessionsInThreads) {
  open(manyBuckets);
  std::vector<std::thread> users;
  for (uint32_t user = 0; user < 3; ++user)
    users.emplace_back([&, user] {
      auto mine = std::move(*Session::create(model, {2, false, 0}));
      std::vector<int32_t> tokens = randomTokens(150, user);
      int32_t slot = *mine->acquireSlot();
      size_t rows = 0;
      Status status = mine->step(
          {{{slot, LogitsMode::All, tokens}}}, [&](size_t, size_t position, const float *logits) {
            ++rows;
            if (position % 50 == 49)
              expectRow({logits, logits + toy::vocabulary}, tokens, position);
          });
      EXPECT_TRUE(status.ok()) << status.text();
      EXPECT_EQ(rows, 150u);
    });
  for (std::thread &user : users)
    user.join();
}

// --- Pages ---------------------------------------------------------------------------------------

class PagedSessionTest : public SessionTest {
protected:
  void openPaged(uint64_t pages) {
    std::string path = toy::write(folder.path(), manyBuckets, {false, pages});
    auto loaded = Model::load(path, {});
    ASSERT_TRUE(loaded.ok()) << loaded.status().text();
    model = *loaded;
    auto made = Session::create(model, {2, true, 0, 0});
    ASSERT_TRUE(made.ok()) << made.status().text();
    session = std::move(*made);
  }
  Status feed(int32_t slot, std::span<const int32_t> tokens) {
    return session->step({{{slot, LogitsMode::None, tokens}}},
                         [](size_t, size_t, const float *) {});
  }
};

// Three sequences take turns, so that their pages lie between those of the others.
TEST_F(PagedSessionTest, SequencesShareThePages) {
  openPaged(40);
  std::vector<std::vector<int32_t>> tokens;
  std::vector<int32_t> slots;
  for (uint32_t s = 0; s < 3; ++s) {
    tokens.push_back(randomTokens(90, s));
    slots.push_back(*session->acquireSlot());
  }
  for (size_t done = 0; done < 90; done += 5) {
    std::vector<StepSequence> sequences;
    for (size_t s = 0; s < 3; ++s)
      sequences.push_back({slots[s], LogitsMode::All, std::span(tokens[s]).subspan(done, 5)});
    Rows rows = step(sequences);
    for (size_t s = 0; s < 3; ++s)
      for (size_t t = 0; t < 5; ++t)
        expectRow(rows[{s, t}], tokens[s], done + t);
  }
  // A sequence that is begun again takes the pages that were given back.
  ASSERT_TRUE(session->releaseSlot(slots[1]).ok());
  ASSERT_TRUE(session->resetSlot(slots[2]).ok());
  std::vector<int32_t> again = randomTokens(200, 9);
  Rows rows = step({{{slots[2], LogitsMode::All, again}}});
  for (size_t t = 0; t < again.size(); ++t)
    expectRow(rows[{0, t}], again, t);
}

TEST_F(PagedSessionTest, PagesRunOut) {
  openPaged(10); // of 8 tokens
  int32_t first = *session->acquireSlot(), second = *session->acquireSlot();
  std::vector<int32_t> tokens = randomTokens(80, 1);
  ASSERT_TRUE(feed(first, std::span(tokens).first(57)).ok()); // 8 pages
  Status status = feed(second, std::span(tokens).first(17));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::PagesFull) << status.text(); // LV4004
  EXPECT_NE(status.text().find("have: 2 of 10 pages of 8 tokens unused"), std::string::npos)
      << status.text();
  // Nothing has changed: less fits, and so does more once the other is gone.
  ASSERT_TRUE(feed(second, std::span(tokens).first(16)).ok());
  EXPECT_EQ(feed(first, std::span(tokens).first(8)).code(), ErrorCode::PagesFull);
  ASSERT_TRUE(session->releaseSlot(second).ok());
  Rows rows = step({{{first, LogitsMode::All, std::span(tokens).subspan(57, 23)}}});
  for (size_t t = 0; t < 23; ++t)
    expectRow(rows[{0, t}], tokens, 57 + t);
}

TEST_F(PagedSessionTest, CallsAreChecked) {
  openPaged(10);
  std::vector<int32_t> ids = {1}, starts = {0, 1}, zero = {0}, table(toy::blocksOfContext, 0);
  table[7] = 10;
  auto tensor = [](const char *name, std::vector<uint64_t> shape, std::vector<int32_t> &values) {
    return CallTensor{
        name, {artifact::DType::I32, std::move(shape)}, std::as_writable_bytes(std::span(values))};
  };
  std::vector<CallTensor> inputs = {
      tensor("ids", {1}, ids),    tensor("starts", {2}, starts),
      tensor("slots", {1}, zero), tensor("past", {1}, zero),
      tensor("rows", {1}, zero),  tensor("pages", {1, toy::blocksOfContext}, table)};
  Status status = session->call("step_1_1_1", inputs, {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::InputFile);
  EXPECT_NE(status.text().find("10 at 7"), std::string::npos) << status.text();
  table[7] = 9;
  EXPECT_TRUE(session->call("step_1_1_1", inputs, {}).ok());
}

} // namespace
