// small-artifact CODE.so OUT.lvn: writes the small artifact, a seed for the fuzzer.
#include "runtime/artifact/Write.h"
#include "runtime/base/File.h"
#include "test/corrupt/SmallArtifact.h"

#include <cstdio>

using namespace levin;

static Status run(const char *codePath, const char *outPath) {
  LEVIN_ASSIGN_OR_RETURN(std::string code, readFile(codePath));
  std::vector<std::string> segments = artifact::smallSegments(code);
  return artifact::writeArtifact(outPath, artifact::smallManifest(segments), segments);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    std::fputs("usage: small-artifact CODE.so OUT.lvn\n", stderr);
    return 2;
  }
  Status status = run(argv[1], argv[2]);
  std::fputs(status.text().c_str(), stderr);
  return status.exitStatus();
}
