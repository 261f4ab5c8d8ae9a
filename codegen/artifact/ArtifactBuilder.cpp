#include "codegen/artifact/ArtifactBuilder.h"

#include "codegen/artifact/ParameterBuilder.h"

#include "dialects/exec/Exec.h"
#include "dialects/nn/NN.h"

#include "llvm/Support/Path.h"

#include <algorithm>
#include <map>

namespace levin::artifact {
namespace {

Role roleOf(mlir::Attribute attribute) {
  auto role = llvm::dyn_cast_if_present<nn::RoleAttr>(attribute);
  if (!role)
    return Role::None;
  switch (role.getValue()) {
  case nn::Role::Ids:
    return Role::Ids;
  case nn::Role::Starts:
    return Role::Starts;
  case nn::Role::Slots:
    return Role::Slots;
  case nn::Role::Past:
    return Role::Past;
  case nn::Role::Rows:
    return Role::Rows;
  case nn::Role::State:
    return Role::State;
  case nn::Role::Logits:
    return Role::Logits;
  case nn::Role::Pages:
    return Role::Pages;
  }
  return Role::Invalid;
}

// Where in the model a command comes from, without folders; empty if unknown.
std::string textOf(mlir::Location location) {
  if (auto name = llvm::dyn_cast<mlir::NameLoc>(location))
    return name.getName().str();
  if (auto file = llvm::dyn_cast<mlir::FileLineColLoc>(location))
    return (llvm::sys::path::filename(file.getFilename()) + ":" + llvm::Twine(file.getLine()) +
            ":" + llvm::Twine(file.getColumn()))
        .str();
  if (auto call = llvm::dyn_cast<mlir::CallSiteLoc>(location))
    return textOf(call.getCallee());
  if (auto fused = llvm::dyn_cast<mlir::FusedLoc>(location))
    for (mlir::Location part : fused.getLocations())
      if (std::string text = textOf(part); !text.empty())
        return text;
  return "";
}

class ManifestBuilder {
public:
  ManifestBuilder(const ArtifactInput &input, const DigestProgress &progress)
      : input(input), progress(progress) {}

  Result<ArtifactContents> run() {
    Manifest &manifest = contents.manifest;
    manifest.producer = input.producer;
    std::sort(manifest.producer.options.begin(), manifest.producer.options.end());
    manifest.debug.pipeline = input.pipeline;
    for (const auto &[name, content] : input.assets)
      manifest.assets.push_back({name, addSegment(content)});
    LEVIN_RETURN_IF_ERROR(addParameters());
    addCode();
    addArenas();
    for (auto program : mlir::ModuleOp(input.module).getOps<exec::ProgramOp>())
      LEVIN_RETURN_IF_ERROR(addProgram(program));
    addModel();
    return std::move(contents);
  }

private:
  uint32_t addSegment(std::string bytes) {
    contents.manifest.segments.emplace_back();
    contents.segments.push_back(std::move(bytes));
    return static_cast<uint32_t>(contents.segments.size() - 1);
  }

  Status addParameters();
  Status addWeightFiles(const std::vector<uint32_t> &used);
  void addCode();
  void addArenas();
  Status addProgram(exec::ProgramOp program);
  Status addItem(mlir::Operation &op, Stream &stream);
  void addBinding(exec::BindOp bind, Entry &entry);
  void addModel();

  Ref refOf(mlir::Value slice) const {
    uint32_t index = slices.lookup(slice);
    return {0, contents.manifest.programs.back().ranks[0].slices[index].size, index};
  }

  const ArtifactInput &input;
  const DigestProgress &progress;
  ArtifactContents contents;
  std::map<std::string, uint32_t> exports, locations;
  llvm::DenseMap<mlir::Value, uint32_t> slices; // of the program at hand
};

Status ManifestBuilder::addParameters() {
  ParameterBuilder builder(input.module, *input.weights);
  LEVIN_RETURN_IF_ERROR(builder.run());
  if (!builder.constants.empty()) {
    uint32_t segment = addSegment(std::move(builder.constants));
    for (Parameter &parameter : builder.parameters)
      if (auto *bytes = std::get_if<SegmentBytes>(&parameter.source))
        bytes->segment = segment;
  }
  contents.manifest.parameters = std::move(builder.parameters);
  return addWeightFiles(builder.usedFiles);
}

Status ManifestBuilder::addWeightFiles(const std::vector<uint32_t> &used) {
  if (used.empty())
    return {};
  LEVIN_ASSIGN_OR_RETURN(uint64_t total, weightFileBytes(input.module, *input.weights));
  uint64_t done = 0;
  for (uint32_t file : used) {
    const std::string &name = input.weights->files[file];
    LEVIN_ASSIGN_OR_RETURN(FileDigest digest,
                           digestFile(input.weights->pathOf(file), [&](uint64_t bytes) {
                             done += bytes;
                             if (progress)
                               progress(done, total);
                           }));
    contents.manifest.weightFiles.push_back({name, digest.size, digest.digest});
  }
  return {};
}

void ManifestBuilder::addCode() {
  for (const CompiledExecutable &code : input.code) {
    if (code.kernels.empty())
      continue;
    Executable executable;
    for (const CompiledKernel &kernel : code.kernels) {
      if (contents.manifest.executables.empty())
        exports[kernel.exported.name] = static_cast<uint32_t>(executable.exports.size());
      executable.exports.push_back(kernel.exported);
    }
    for (const CompiledVariant &variant : code.variants) {
      executable.variants.push_back(variant.variant);
      executable.variants.back().segment = addSegment(variant.bytes);
    }
    contents.manifest.executables.push_back(std::move(executable));
  }
}

// The three arenas, whose places in the list are those of the kinds.
void ManifestBuilder::addArenas() {
  uint64_t sizes[3] = {};
  mlir::ModuleOp module = input.module;
  for (auto program : module.getOps<exec::ProgramOp>())
    for (auto arena : program.getBody().getOps<exec::ArenaOp>()) {
      uint64_t &size = sizes[static_cast<unsigned>(arena.getKind()) - 1];
      size = std::max(size, static_cast<uint64_t>(arena.getExtent()[0]));
    }
  uint32_t alignment = 64;
  for (const CompiledExecutable &code : input.code)
    for (const CompiledKernel &kernel : code.kernels)
      alignment = std::max(alignment, kernel.exported.minAlignment);
  contents.manifest.arenas = {{ArenaKind::Parameters, sizes[0], alignment},
                              {ArenaKind::State, sizes[1], alignment},
                              {ArenaKind::Workspace, sizes[2], alignment}};
}

// The most bytes of workspace that are alive at one command.
uint64_t peakOf(const RankProgram &program, uint32_t workspace) {
  std::map<uint64_t, int64_t> changes;
  for (const Slice &slice : program.slices)
    if (slice.arena == workspace) {
      changes[slice.firstCommand] += static_cast<int64_t>(slice.size);
      changes[uint64_t(slice.lastCommand) + 1] -= static_cast<int64_t>(slice.size);
    }
  int64_t alive = 0, peak = 0;
  for (auto [command, change] : changes)
    peak = std::max(peak, alive += change);
  return static_cast<uint64_t>(peak);
}

void ManifestBuilder::addBinding(exec::BindOp bind, Entry &entry) {
  Binding binding{bind.getName().str(),
                  roleOf(bind.getRole().value_or(mlir::Attribute())),
                  tensorTypeOf(bind.getType()),
                  {slices.lookup(bind.getSlice())}};
  switch (bind.getKind()) {
  case exec::BindKind::Input:
    entry.inputs.push_back(std::move(binding));
    break;
  case exec::BindKind::Output:
    entry.outputs.push_back(std::move(binding));
    break;
  case exec::BindKind::State:
    entry.state.push_back(std::move(binding));
    break;
  }
}

Status ManifestBuilder::addItem(mlir::Operation &op, Stream &stream) {
  Item item;
  if (std::string text = textOf(op.getLoc()); !text.empty()) {
    auto [known, isNew] = locations.insert({text, static_cast<uint32_t>(locations.size())});
    if (isNew)
      contents.manifest.debug.locations.push_back(text);
    item.location = known->second;
  }
  if (auto copy = llvm::dyn_cast<exec::CopyOp>(op)) {
    item.command = Copy{refOf(copy.getSource()), refOf(copy.getTarget())};
  } else {
    auto launch = llvm::cast<exec::LaunchOp>(op);
    std::string name = launch.getKernel().getLeafReference().str();
    auto known = exports.find(name);
    if (known == exports.end())
      return makeError(ErrorCode::Internal, "kernel '{}' was not compiled", name);
    Launch command{0, known->second, {}, {}};
    for (auto [to, from] : llvm::zip(command.grid, launch.getGrid()))
      to = static_cast<uint32_t>(from);
    for (mlir::Value slice : launch.getBindings())
      command.bindings.push_back(refOf(slice));
    item.command = std::move(command);
  }
  stream.items.push_back(std::move(item));
  return {};
}

Status ManifestBuilder::addProgram(exec::ProgramOp op) {
  Manifest &manifest = contents.manifest;
  Entry entry;
  entry.name = op.getSymName().str();
  entry.program = static_cast<uint32_t>(manifest.programs.size());
  if (auto bucket = op.getBucket()) {
    entry.tokens = static_cast<uint64_t>((*bucket)[0]);
    entry.sequences = static_cast<uint64_t>((*bucket)[1]);
    entry.rows = static_cast<uint64_t>((*bucket)[2]);
  }
  manifest.programs.push_back({entry.name, {RankProgram()}});
  RankProgram &program = manifest.programs.back().ranks.back();
  program.streams.emplace_back();
  slices.clear();
  for (mlir::Operation &inner : op.getBody().front()) {
    if (auto arena = llvm::dyn_cast<exec::ArenaOp>(inner)) {
      if (arena.getKind() == exec::ArenaKind::Workspace)
        program.workspaceBytes = static_cast<uint64_t>(arena.getExtent()[0]);
    } else if (auto slice = llvm::dyn_cast<exec::SliceOp>(inner)) {
      auto arena = slice.getArena().getDefiningOp<exec::ArenaOp>();
      slices[slice] = static_cast<uint32_t>(program.slices.size());
      program.slices.push_back(
          {static_cast<uint64_t>(slice.getPlace()[0]), static_cast<uint64_t>(slice.getPlace()[1]),
           static_cast<uint32_t>(arena.getKind()) - 1, static_cast<uint32_t>(slice.getLive()[0]),
           static_cast<uint32_t>(slice.getLive()[1])});
    } else if (auto bind = llvm::dyn_cast<exec::BindOp>(inner)) {
      addBinding(bind, entry);
    } else {
      LEVIN_RETURN_IF_ERROR(addItem(inner, program.streams.front()));
    }
  }
  program.peakBytes = peakOf(program, 2);
  manifest.entries.push_back(std::move(entry));
  return {};
}

void ManifestBuilder::addModel() {
  Model &model = contents.manifest.model;
  mlir::ModuleOp module = input.module;
  auto integer = [&](llvm::StringRef name) -> uint64_t {
    auto attribute = module->getAttrOfType<mlir::IntegerAttr>(name);
    return attribute ? static_cast<uint64_t>(attribute.getInt()) : 0;
  };
  for (auto parameter : module.getOps<nn::ParameterOp>()) {
    if (parameter->hasAttr("nn.scales"))
      continue;
    mlir::Type type = parameter.getType(); // or what it was before it was quantised
    if (auto source = parameter->getAttrOfType<mlir::DictionaryAttr>("nn.source"))
      type = source.getAs<mlir::TypeAttr>("type").getValue();
    model.parameters += static_cast<uint64_t>(llvm::cast<mlir::ShapedType>(type).getNumElements());
  }
  model.layers = integer("nn.layers");
  if (auto family = module->getAttrOfType<mlir::StringAttr>("nn.family"))
    model.family = family.str();
  for (const Entry &entry : contents.manifest.entries) {
    if (!entry.tokens)
      continue;
    model.slots = input.slots;
    model.maxContext = input.maxContext;
    model.pages = input.pages;
    model.pageTokens = input.pageTokens;
    for (const Binding &output : entry.outputs)
      if (output.role == Role::Logits)
        model.vocabulary = output.type.shape.back();
  }
  if (!model.vocabulary)
    return;
  if (auto token = module->getAttrOfType<mlir::IntegerAttr>("nn.begin_token"))
    model.beginToken = static_cast<int32_t>(token.getInt());
  if (auto tokens = module->getAttrOfType<mlir::DenseI64ArrayAttr>("nn.end_tokens"))
    for (int64_t token : tokens.asArrayRef())
      model.endTokens.push_back(static_cast<int32_t>(token));
}

} // namespace

Status setLaunchGrids(mlir::ModuleOp module, const CompiledExecutable &code) {
  std::map<llvm::StringRef, const CompiledKernel *> kernels;
  for (const CompiledKernel &kernel : code.kernels)
    kernels[kernel.exported.name] = &kernel;
  Status status;
  module.walk([&](exec::LaunchOp launch) {
    auto known = kernels.find(launch.getKernel().getLeafReference());
    if (known == kernels.end()) {
      status = makeError(ErrorCode::Internal, "kernel '{}' was not compiled",
                         launch.getKernel().getLeafReference().str());
      return;
    }
    auto [x, y, z] = known->second->grid;
    launch.setGrid({x, y, z});
  });
  return status;
}

Result<uint64_t> weightFileBytes(mlir::ModuleOp module, const WeightIndex &weights) {
  ParameterBuilder builder(module, weights);
  LEVIN_RETURN_IF_ERROR(builder.run());
  uint64_t total = 0;
  for (uint32_t file : builder.usedFiles)
    total += weights.sizes[file];
  return total;
}

Result<ArtifactContents> buildArtifact(const ArtifactInput &input, const DigestProgress &progress) {
  return ManifestBuilder(input, progress).run();
}

} // namespace levin::artifact
