// The example program, and what liblevin.so shows to the outside.
#include "test/unit/session/ToyModel.h"

#include <gtest/gtest.h>

#include <sys/wait.h>

#include <cstdio>
#include <sstream>

using namespace levin;

namespace {

/// The standard output and exit status of a shell command.
std::pair<std::string, int> run(const std::string &command) {
  std::FILE *pipe = ::popen(command.c_str(), "r");
  std::string output;
  char buffer[4096];
  for (size_t got; (got = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0;)
    output.append(buffer, got);
  int status = ::pclose(pipe);
  return {output, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

TEST(Example, Generates) {
  toy::TemporaryFolder folder;
  std::vector<Bucket> buckets = {{8, 2, 2}};
  std::string path = toy::write(folder.path(), buckets);
  std::string command = std::string(LEVIN_EXAMPLE) + " " + path + " 1 5 7";
  auto [output, status] = run(command);
  EXPECT_EQ(status, 0);
  std::istringstream words(output);
  std::vector<int> ids;
  for (int id; words >> id;)
    ids.push_back(id);
  EXPECT_EQ(ids.size(), 32u);
  EXPECT_EQ(run(command).first, output); // the seed is fixed
}

TEST(Example, ExitStatusIsTheFirstDigit) {
  std::string example = LEVIN_EXAMPLE;
  EXPECT_EQ(run(example + " 2>/dev/null").second, 2);
  EXPECT_EQ(run(example + " /nowhere.lvn 1 2>/dev/null").second, 3);
  toy::TemporaryFolder folder;
  std::vector<Bucket> buckets = {{8, 2, 2}};
  std::string path = toy::write(folder.path(), buckets);
  EXPECT_EQ(run(example + " " + path + " 99 2>/dev/null").second, 2);
}

TEST(SharedLibrary, ExportsOnlyTheInterface) {
  auto [output, status] = run("nm -D --defined-only " LEVIN_SHARED_LIBRARY);
  ASSERT_EQ(status, 0) << "nm comes with the Debian package build-essential";
  std::istringstream lines(output);
  int functions = 0;
  for (std::string line; std::getline(lines, line); ++functions)
    EXPECT_NE(line.find(" T levin_"), std::string::npos) << line;
  EXPECT_GT(functions, 30);
}

} // namespace
