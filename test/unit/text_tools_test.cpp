// Command lines, words that were meant, numbers as people read them.
#include "runtime/base/DidYouMean.h"
#include "tools/common/CommandLine.h"
#include "tools/common/Format.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

using namespace levin;
using namespace levin::tool;

namespace {

class ToolLine : public testing::Test {
protected:
  ToolLine() : line("levin-demo", "Shows.") {
    line.subcommand("make", "makes a thing")
        .positional("MODEL", &model, "the model", {.required = true})
        .group("Sampling")
        .option("--prompt", &prompts, "a text")
        .option("-n,--max-tokens", &count, "how many", {.value = "N", .min = 1, .max = 4096})
        .option("--temperature", &temperature, "how wild", {.min = 0})
        .option("--dtype", &dtype, "which type", {.choices = {"f32", "bf16"}})
        .option("--force", &force, "even so")
        .action([this] {
          ran = true;
          return Status();
        });
    line.subcommand("chat", "talks").action([] { return Status(); });
  }

  std::string failure(std::vector<std::string> args, int number) {
    Status status = line.run(args);
    EXPECT_FALSE(status.ok());
    if (status.ok())
      return "";
    EXPECT_EQ(status.number(), number) << status.text();
    return status.text();
  }

  CommandLine line;
  std::string model, dtype = "f32";
  std::vector<std::string> prompts;
  uint64_t count = 5;
  double temperature = 0;
  bool force = false, ran = false;
};

TEST_F(ToolLine, ReadsValuesAsTheyAre) {
  Status status = line.run({"make", "chat", "--prompt", "", "--prompt=[1,2]", "--prompt", "--json",
                            "-n", "2K", "--temperature", "0.5", "--force", "--dtype=bf16"});
  ASSERT_TRUE(status.ok()) << status.text();
  EXPECT_TRUE(ran && force);
  EXPECT_EQ(model, "chat");
  EXPECT_EQ(prompts, (std::vector<std::string>{"", "[1,2]", "--json"}));
  EXPECT_EQ(count, 2048u);
  EXPECT_EQ(temperature, 0.5);
  EXPECT_EQ(dtype, "bf16");
}

TEST_F(ToolLine, SaysWhatIsWrong) {
  auto has = [](const std::string &text, const char *part) { return text.find(part) != text.npos; };
  EXPECT_TRUE(has(failure({}, 2001), "needs a subcommand"));
  EXPECT_TRUE(has(failure({"mak"}, 2001), "did you mean 'make'?"));
  EXPECT_TRUE(
      has(failure({"make", "m", "--max-tokns", "3"}, 2001), "did you mean '--max-tokens'?"));
  EXPECT_TRUE(has(failure({"make"}, 2001), "MODEL is missing"));
  EXPECT_TRUE(has(failure({"make", "m", "extra"}, 2001), "no place for the argument 'extra'"));
  EXPECT_TRUE(has(failure({"make", "m", "--prompt"}, 2001), "--prompt needs a value"));
  EXPECT_TRUE(has(failure({"make", "m", "-n", "1", "-n", "2"}, 2001), "given 2 times"));
  EXPECT_TRUE(has(failure({"make", "m", "-n", "0"}, 2002), "an integer from 1 to 4096"));
  EXPECT_TRUE(has(failure({"make", "m", "-n", "-1"}, 2002), "'-1'"));
  EXPECT_TRUE(has(failure({"make", "m", "-n", "99999999999999999999"}, 2002), "from 1 to 4096"));
  EXPECT_TRUE(has(failure({"make", "m", "--temperature", "nan"}, 2002), "a number from 0"));
  EXPECT_TRUE(has(failure({"make", "m", "--dtype", "bf17"}, 2002), "did you mean 'bf16'?"));
  EXPECT_TRUE(has(failure({"make", "m", "--config", "/nonexistent"}, 2003), "cannot open"));
}

TEST_F(ToolLine, ReadsEnvironmentAndFile) {
  std::string path = testing::TempDir() + "levin-tools-test.toml";
  std::ofstream(path) << "max-tokens = 7\n[make]\nprompt = [\"a\", \"b\"]\ntemperature = 0.25\n";
  ::setenv("LEVIN_TEMPERATURE", "0.75", 1);
  Status status = line.run({"make", "m", "--config", path});
  ::unsetenv("LEVIN_TEMPERATURE");
  ASSERT_TRUE(status.ok()) << status.text();
  EXPECT_EQ(count, 7u);
  EXPECT_EQ(prompts.size(), 2u);
  EXPECT_EQ(temperature, 0.75); // the environment wins
  std::ofstream(path) << "[make]\ntemperatur = 1\n";
  EXPECT_NE(failure({"make", "m", "--config", path}, 2001).find("'--temperature'"),
            std::string::npos);
}

TEST_F(ToolLine, HelpSearchesAllSubcommands) {
  std::string found = line.search("WILD");
  EXPECT_NE(found.find("--temperature"), found.npos);
  EXPECT_EQ(found.find("--prompt"), found.npos);
  EXPECT_NE(line.search("talks").find("levin-demo chat"), std::string::npos);
  EXPECT_NE(line.search("zebra").find("nothing"), std::string::npos);
  EXPECT_NE(line.help("make").find("-n, --max-tokens N"), std::string::npos);
}

TEST(Tools, DidYouMean) {
  EXPECT_EQ(editDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(editDistance("ab", "ba"), 1u);
  std::vector<std::string> words = {"generate", "score", "verify"};
  EXPECT_EQ(didYouMean("genrte", words), "did you mean 'generate'?");
  EXPECT_EQ(didYouMean("gen", words), "did you mean 'generate'?");
  EXPECT_EQ(didYouMean("zzz", words), std::nullopt);
}

TEST(Tools, Numbers) {
  EXPECT_EQ(humanBytes(17), "17 B");
  EXPECT_EQ(humanBytes(uint64_t(1) << 30), "1.0 GiB");
  EXPECT_EQ(humanSeconds(0.0123), "12.3 ms");
  EXPECT_EQ(humanSeconds(245), "4:05 min");
  EXPECT_EQ(humanCount(8243), "8 243");
  EXPECT_EQ(parseCount("512K"), 524288u);
  EXPECT_EQ(parseCount("18446744073709551615K"), std::nullopt);
  EXPECT_EQ(parseCount(""), std::nullopt);
  Table table;
  table.column("a").column("n", Table::Align::Right).row({"xyz", "1"}).row({"x"});
  EXPECT_EQ(table.text(), "a    n\nxyz  1\nx\n");
}

} // namespace
