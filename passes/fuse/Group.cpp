#include "passes/fuse/KernelKind.h"
#include "passes/fuse/Passes.h"

#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include "mlir/IR/Remarks.h"

#include <functional>

namespace levin::fuse {
#define GEN_PASS_DEF_FUSEGROUPPASS
#include "passes/fuse/Passes.h.inc"

namespace {

using mlir::Operation;

struct Group {
  KernelKind kind;
  Operation *root; // what the group is named after in remarks
  llvm::SmallVector<Operation *> ops;
  unsigned first, last; // places of the first and the last op in the block
  unsigned matmuls = 0;
};

llvm::ArrayRef<int64_t> shapeOf(Operation *op) {
  if (op->getNumResults() == 0)
    return {};
  auto type = llvm::dyn_cast<mlir::RankedTensorType>(op->getResult(0).getType());
  return type ? type.getShape() : llvm::ArrayRef<int64_t>();
}

// Decides the groups of one function, op by op in program order.
class Grouping {
public:
  explicit Grouping(mlir::Block &block) {
    for (auto [index, op] : llvm::enumerate(block))
      position[&op] = index;
  }

  void add(Operation *op, KernelKind kind);
  void fuseGathers();
  void writeAttributes();

private:
  void addElementwise(Operation *op);
  bool joinDual(Operation *op, llvm::ArrayRef<unsigned> producers);
  void addColumn(Operation *op);
  void addRow(Operation *op);
  void addAttention(Operation *op, KernelKind kind);

  unsigned start(Operation *op, KernelKind kind);
  void join(Operation *op, unsigned group);
  void absorb(unsigned target, unsigned source);
  bool tryJoin(Operation *op, unsigned group);
  bool isConvex(llvm::ArrayRef<unsigned> merged, Operation *op);
  llvm::SmallVector<unsigned> producersOf(Operation *op);
  void missed(Operation *op, const Group &group, llvm::StringRef reason);

  std::vector<Group> groups;
  llvm::DenseMap<Operation *, unsigned> owner, position;
};

void Grouping::missed(Operation *op, const Group &group, llvm::StringRef reason) {
  mlir::remark::missed(op->getLoc(), mlir::remark::RemarkOpts::name("Fuse").category("fuse"))
      << llvm::formatv("'{0}' not into the kernel of '{1}': {2}", op->getName(),
                       group.root->getName(), reason)
             .str();
}

unsigned Grouping::start(Operation *op, KernelKind kind) {
  Group group{kind, op, {op}, position[op], position[op]};
  group.matmuls = kind == KernelKind::Matmul;
  owner[op] = static_cast<unsigned>(groups.size());
  groups.push_back(std::move(group));
  return owner[op];
}

void Grouping::join(Operation *op, unsigned group) {
  owner[op] = group;
  Group &joined = groups[group];
  joined.ops.push_back(op);
  joined.first = std::min(joined.first, position[op]);
  joined.last = std::max(joined.last, position[op]);
  mlir::remark::passed(op->getLoc(), mlir::remark::RemarkOpts::name("Fuse").category("fuse"))
      << llvm::formatv("'{0}' into the kernel of '{1}'", op->getName(),
                       groups[group].root->getName())
             .str();
}

void Grouping::absorb(unsigned target, unsigned source) {
  for (Operation *op : groups[source].ops)
    owner[op] = target;
  llvm::append_range(groups[target].ops, groups[source].ops);
  groups[target].first = std::min(groups[target].first, groups[source].first);
  groups[target].last = std::max(groups[target].last, groups[source].last);
  groups[target].matmuls += groups[source].matmuls;
  groups[source].ops.clear();
}

// The groups that make what `op` reads, directly or through repeated ops; the one that ends last
// first.
llvm::SmallVector<unsigned> Grouping::producersOf(Operation *op) {
  llvm::SmallVector<std::pair<unsigned, unsigned>> found; // end of the group, group
  std::function<void(mlir::Value)> add = [&](mlir::Value value) {
    Operation *producer = value.getDefiningOp();
    if (!producer)
      return;
    if (isRepeated(producer))
      return forEachRead(producer, add);
    if (auto known = owner.find(producer); known != owner.end())
      found.push_back({groups[known->second].last, known->second});
  };
  forEachRead(op, add);
  llvm::sort(found, std::greater<>());
  found.erase(llvm::unique(found), found.end());
  llvm::SmallVector<unsigned> result;
  for (auto [end, group] : found)
    result.push_back(group);
  return result;
}

// Whether `merged` with `op` would be free of circles: no value leaves it, passes through another
// group and comes back.  Looks from what the merged ops read towards the beginning; groups that end
// before the merged ones begin cannot depend on them.
bool Grouping::isConvex(llvm::ArrayRef<unsigned> merged, Operation *op) {
  unsigned begin = position[op];
  for (unsigned group : merged)
    begin = std::min(begin, groups[group].first);
  llvm::DenseSet<unsigned> visited;
  llvm::SmallVector<unsigned> pending;
  auto follow = [&](Operation *reader) {
    for (unsigned producer : producersOf(reader))
      if (!llvm::is_contained(merged, producer) && groups[producer].last > begin &&
          visited.insert(producer).second)
        pending.push_back(producer);
  };
  follow(op);
  if (merged.size() > 1) // else the group is convex already
    for (unsigned group : merged)
      llvm::for_each(groups[group].ops, follow);
  while (!pending.empty()) {
    const Group &outside = groups[pending.pop_back_val()];
    for (Operation *member : outside.ops) {
      for (unsigned producer : producersOf(member))
        if (llvm::is_contained(merged, producer))
          return false;
      follow(member);
    }
  }
  return true;
}

bool Grouping::tryJoin(Operation *op, unsigned group) {
  if (shapeOf(groups[group].root) != shapeOf(op)) {
    missed(op, groups[group], "the shapes differ");
    return false;
  }
  if (!isConvex({group}, op)) {
    missed(op, groups[group], "another operand waits for that kernel");
    return false;
  }
  join(op, group);
  return true;
}

// Two matmuls of one input, combined by `op`: one pass over the input serves both.
bool Grouping::joinDual(Operation *op, llvm::ArrayRef<unsigned> producers) {
  if (producers.size() < 2)
    return false;
  unsigned first = std::min(producers[0], producers[1]);
  unsigned second = std::max(producers[0], producers[1]);
  Group &a = groups[first], &b = groups[second];
  if (a.matmuls != 1 || b.matmuls != 1)
    return false;
  Operation *left = a.root, *right = b.root;
  if (left->getName() != right->getName() || left->getOperand(0) != right->getOperand(0) ||
      shapeOf(left) != shapeOf(op) || shapeOf(right) != shapeOf(op) ||
      left->getNumOperands() != right->getNumOperands())
    return false;
  if (auto grouped = llvm::dyn_cast<moe::GroupedLinearOp>(left);
      grouped && grouped.getOffsets() != llvm::cast<moe::GroupedLinearOp>(right).getOffsets())
    return false;
  if (!isConvex({first, second}, op)) {
    missed(op, b, "the two matmuls wait for each other's results");
    return false;
  }
  absorb(first, second);
  join(op, first);
  return true;
}

void Grouping::addElementwise(Operation *op) {
  llvm::SmallVector<unsigned> producers = producersOf(op);
  if (joinDual(op, producers))
    return;
  for (unsigned group : producers) {
    switch (groups[group].kind) {
    case KernelKind::Matmul:
    case KernelKind::Row:
    case KernelKind::Column:
    case KernelKind::Elementwise:
    case KernelKind::Gather:
    case KernelKind::Combine:
      if (tryJoin(op, group))
        return;
      break;
    default:
      missed(op, groups[group], "its kernel takes no elementwise ops");
    }
  }
  start(op, KernelKind::Elementwise);
}

void Grouping::addColumn(Operation *op) {
  for (unsigned group : producersOf(op))
    if (groups[group].kind == KernelKind::Matmul && tryJoin(op, group))
      return;
  start(op, KernelKind::Column);
}

void Grouping::addRow(Operation *op) {
  Operation *producer = op->getOperand(0).getDefiningOp();
  auto known = producer ? owner.find(producer) : owner.end();
  if (known != owner.end()) {
    Group &group = groups[known->second];
    bool takes = group.kind == KernelKind::Elementwise ||
                 (group.kind == KernelKind::Gather && llvm::isa<nn::TakeRowsOp>(group.root));
    if (takes && tryJoin(op, known->second)) {
      group.kind = KernelKind::Row;
      group.root = op;
      return;
    }
    if (!takes)
      missed(op, group, "its kernel takes no row ops");
  }
  start(op, KernelKind::Row);
}

// The split and the rotations whose results only this attention reads.
void Grouping::addAttention(Operation *op, KernelKind kind) {
  llvm::SetVector<Operation *> members;
  members.insert(op);
  auto onlyReadHere = [&](Operation *producer) {
    bool only = true;
    forEachUser(producer, [&](Operation *user) { only &= members.contains(user); });
    return only;
  };
  for (bool grown = true; grown;) {
    grown = false;
    for (Operation *member : llvm::to_vector(members))
      for (mlir::Value operand : member->getOperands()) {
        Operation *producer = operand.getDefiningOp();
        auto known = producer ? owner.find(producer) : owner.end();
        if (known == owner.end() || members.contains(producer))
          continue;
        const Group &group = groups[known->second];
        bool takes = group.ops.size() == 1 &&
                     (group.kind == KernelKind::View || group.kind == KernelKind::Rotary);
        if (takes && onlyReadHere(producer))
          grown |= members.insert(producer);
      }
  }
  llvm::SmallVector<unsigned> merged;
  for (Operation *member : members.getArrayRef().drop_front())
    merged.push_back(owner[member]);
  llvm::sort(merged);
  unsigned group = start(op, kind);
  if (merged.empty())
    return;
  if (!isConvex(merged, op)) {
    missed(op, groups[merged.front()], "another operand waits for that kernel");
    return;
  }
  for (unsigned source : merged) {
    Operation *member = groups[source].ops.front();
    groups[source].ops.clear();
    join(member, group);
  }
}

void Grouping::add(Operation *op, KernelKind kind) {
  switch (kind) {
  case KernelKind::Elementwise:
    return addElementwise(op);
  case KernelKind::Column:
    return addColumn(op);
  case KernelKind::Row:
    return addRow(op);
  case KernelKind::Attention:
  case KernelKind::Lightning:
    return addAttention(op, kind);
  default:
    start(op, kind);
  }
}

// Lets products of experts take the dispatch that only they read.  The group stays free of circles:
// what a dispatch makes is read nowhere else, and what it reads cannot wait for its readers.
void Grouping::fuseGathers() {
  for (unsigned source = 0; source < groups.size(); ++source) {
    if (groups[source].ops.size() != 1 || !llvm::isa<moe::DispatchOp>(groups[source].root))
      continue;
    Operation *dispatch = groups[source].root;
    std::optional<unsigned> target;
    bool takes = true;
    forEachUser(dispatch, [&](Operation *user) {
      auto product = llvm::dyn_cast<moe::GroupedLinearOp>(user);
      auto known = owner.find(user);
      takes &= product && product.getInput() == dispatch->getResult(0) && known != owner.end() &&
               (!target || *target == known->second);
      if (takes)
        target = known->second;
    });
    if (!takes || !target) {
      missed(dispatch, groups[source], "others than one kernel of grouped products read it");
      continue;
    }
    groups[source].ops.clear();
    join(dispatch, *target);
  }
}

// Numbers the groups by their first op.
void Grouping::writeAttributes() {
  llvm::SmallVector<std::pair<unsigned, const Group *>> order;
  for (Group &group : groups)
    if (!group.ops.empty())
      order.push_back({group.first, &group});
  llvm::sort(order, [](auto a, auto b) { return a.first < b.first; });
  for (auto [number, entry] : llvm::enumerate(order))
    for (Operation *op : entry.second->ops)
      op->setAttr(groupAttrName,
                  mlir::IntegerAttr::get(mlir::IntegerType::get(op->getContext(), 64), number));
}

struct FuseGroup : impl::FuseGroupPassBase<FuseGroup> {
  using FuseGroupPassBase::FuseGroupPassBase;

  void runOnOperation() override {
    for (auto function : getOperation().getOps<mlir::func::FuncOp>()) {
      if (function.isExternal())
        continue;
      Grouping grouping(function.getBody().front());
      for (Operation &op : function.getBody().front())
        if (auto kind = markedKind(&op))
          grouping.add(&op, *kind);
      if (fusedGather)
        grouping.fuseGathers();
      grouping.writeAttributes();
    }
  }
};

} // namespace
} // namespace levin::fuse
