#include "codegen/cuda/templates/Functor.h"

#include "dialects/interfaces/Interfaces.h"
#include "dialects/interfaces/TiedResults.h"
#include "dialects/nn/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/xxhash.h"

namespace levin::cuda {

namespace arith = mlir::arith;
namespace math = mlir::math;
using artifact::DType;
using mlir::Operation;
using mlir::Value;
using Text = std::optional<std::string>;
using Texts = llvm::ArrayRef<std::string>;

artifact::DType floatDType(mlir::Type type) {
  return llvm::TypeSwitch<mlir::Type, DType>(type)
      .Case([](mlir::Float32Type) { return DType::F32; })
      .Case([](mlir::BFloat16Type) { return DType::BF16; })
      .Case([](mlir::Float16Type) { return DType::F16; })
      .Case([](mlir::Float8E4M3FNType) { return DType::F8E4M3; })
      .Default([](mlir::Type) { return DType::Invalid; });
}

llvm::StringRef scalarName(DType dtype) {
  switch (dtype) {
  case DType::BF16:
    return "levin::kernels::Scalar::BF16";
  case DType::F16:
    return "levin::kernels::Scalar::F16";
  case DType::F8E4M3:
    return "levin::kernels::Scalar::E4M3";
  default:
    return "levin::kernels::Scalar::F32";
  }
}

llvm::StringRef storageName(DType dtype) {
  switch (dtype) {
  case DType::BF16:
    return "__nv_bfloat16";
  case DType::F16:
    return "__half";
  case DType::F8E4M3:
    return "__nv_fp8_e4m3";
  default:
    return "float";
  }
}

std::string digestOf(llvm::StringRef text) {
  return llvm::utohexstr(llvm::xxh3_64bits(text), /*LowerCase=*/true, /*Width=*/16);
}

//===-- scalars --------------------------------------------------------------===//

static std::string number(const llvm::APFloat &value) {
  llvm::APFloat single = value;
  bool loses = false;
  single.convert(llvm::APFloat::IEEEsingle(), llvm::APFloat::rmNearestTiesToEven, &loses);
  if (!single.isFinite())
    return llvm::formatv("__uint_as_float({0}u)", single.bitcastToAPInt().getZExtValue());
  char text[64];
  single.convertToHexString(text, 0, /*upperCase=*/false, llvm::APFloat::rmNearestTiesToEven);
  return llvm::formatv("({0}f)", llvm::StringRef(text));
}

static Text constantText(mlir::Attribute attribute) {
  if (auto splat = llvm::dyn_cast<mlir::SplatElementsAttr>(attribute))
    attribute = splat.getSplatValue<mlir::Attribute>();
  if (auto value = llvm::dyn_cast<mlir::FloatAttr>(attribute))
    return number(value.getValue());
  if (auto value = llvm::dyn_cast<mlir::BoolAttr>(attribute))
    return value.getValue() ? "true" : "false";
  return std::nullopt;
}

/// What names of predicates say behind their first letter: "o" is false and "u" true if an operand
/// is NaN.  The latter are negations of the opposite ordered ones.
static std::string comparison(arith::CmpFPredicate predicate, Texts x) {
  llvm::StringRef name = arith::stringifyCmpFPredicate(predicate);
  if (name == "true" || name == "false")
    return name.str();
  bool isOrdered = name.front() == 'o';
  auto [ordered, opposite] =
      llvm::StringSwitch<std::pair<const char *, const char *>>(name.drop_front())
          .Case("eq", {"{0} == {1}", "{0} < {1} || {0} > {1}"})
          .Case("gt", {"{0} > {1}", "{0} <= {1}"})
          .Case("ge", {"{0} >= {1}", "{0} < {1}"})
          .Case("lt", {"{0} < {1}", "{0} >= {1}"})
          .Case("le", {"{0} <= {1}", "{0} > {1}"})
          .Case("ne", {"{0} < {1} || {0} > {1}", "{0} == {1}"})
          .Default({"{0} == {0} && {1} == {1}", "{0} == {0} && {1} == {1}"}); // ord, uno
  const char *format = isOrdered ? ordered : opposite;
  std::string text = llvm::formatv(/*Validate=*/false, format, x[0], x[1]);
  return isOrdered ? text : "!(" + text + ")";
}

/// Functions of the math library of CUDA and of numeric.cuh; quotients and roots are rounded right.
static const char *functionFormat(Operation *op) {
  return llvm::TypeSwitch<Operation *, const char *>(op)
      .Case([](arith::AddFOp) { return "{0} + {1}"; })
      .Case([](arith::SubFOp) { return "{0} - {1}"; })
      .Case([](arith::MulFOp) { return "{0} * {1}"; })
      .Case([](arith::DivFOp) { return "{0} / {1}"; })
      .Case([](arith::NegFOp) { return "-{0}"; })
      .Case([](arith::RemFOp) { return "fmodf({0}, {1})"; })
      .Case([](arith::MaximumFOp) { return "levin::kernels::maximum({0}, {1})"; })
      .Case([](arith::MinimumFOp) { return "levin::kernels::minimum({0}, {1})"; })
      .Case([](arith::MaxNumFOp) { return "fmaxf({0}, {1})"; })
      .Case([](arith::MinNumFOp) { return "fminf({0}, {1})"; })
      .Case([](arith::SelectOp) { return "{0} ? {1} : {2}"; })
      .Case([](arith::AndIOp) { return "{0} && {1}"; })
      .Case([](arith::OrIOp) { return "{0} || {1}"; })
      .Case([](arith::XOrIOp) { return "{0} != {1}"; })
      .Case([](math::AbsFOp) { return "fabsf({0})"; })
      .Case([](math::CeilOp) { return "ceilf({0})"; })
      .Case([](math::CosOp) { return "cosf({0})"; })
      .Case([](math::ErfOp) { return "erff({0})"; })
      .Case([](math::ErfcOp) { return "erfcf({0})"; })
      .Case([](math::ExpOp) { return "expf({0})"; })
      .Case([](math::Exp2Op) { return "exp2f({0})"; })
      .Case([](math::ExpM1Op) { return "expm1f({0})"; })
      .Case([](math::FloorOp) { return "floorf({0})"; })
      .Case([](math::FmaOp) { return "fmaf({0}, {1}, {2})"; })
      .Case([](math::LogOp) { return "logf({0})"; })
      .Case([](math::Log2Op) { return "log2f({0})"; })
      .Case([](math::Log1pOp) { return "log1pf({0})"; })
      .Case([](math::PowFOp) { return "powf({0}, {1})"; })
      .Case([](math::RoundEvenOp) { return "rintf({0})"; })
      .Case([](math::RsqrtOp) { return "1.0f / sqrtf({0})"; })
      .Case([](math::SinOp) { return "sinf({0})"; })
      .Case([](math::SqrtOp) { return "sqrtf({0})"; })
      .Case([](math::TanhOp) { return "tanhf({0})"; })
      .Default([](Operation *) { return nullptr; });
}

/// Whether elements of `type` are floats that kernels store, or truth values.
static bool isHandled(mlir::Type type) {
  mlir::Type element = mlir::getElementTypeOrSelf(type);
  return floatDType(element) != DType::Invalid || element.isInteger(1);
}

static bool areHandled(Operation *op) {
  return llvm::all_of(op->getOperandTypes(), isHandled) &&
         llvm::all_of(op->getResultTypes(), isHandled);
}

/// What `op` makes of one element of each operand.
static Text expression(Operation *op, Texts operands) {
  if (op->getNumResults() != 1 || !areHandled(op))
    return std::nullopt;
  if (auto constant = llvm::dyn_cast<arith::ConstantOp>(op))
    return constantText(constant.getValue());
  if (auto compare = llvm::dyn_cast<arith::CmpFOp>(op))
    return comparison(compare.getPredicate(), operands);
  if (llvm::isa<arith::ExtFOp, arith::TruncFOp>(op)) // users round what is not float32
    return operands[0];
  const char *format = functionFormat(op);
  if (!format)
    return std::nullopt;
  auto at = [&](size_t i) { return i < operands.size() ? operands[i] : std::string(); };
  return llvm::formatv(/*Validate=*/false, format, at(0), at(1), at(2)).str();
}

//===-- bodies ---------------------------------------------------------------===//

namespace {
/// Writes the body of apply().  Values get numbers in the order in which they are needed, so that
/// the text depends on what is computed alone.
class Writer {
public:
  Writer(mlir::func::FuncOp kernel, llvm::ArrayRef<Value> sums) : kernel(kernel) {
    for (auto [i, sum] : llvm::enumerate(sums))
      sumNumbers.insert({sum, static_cast<unsigned>(i)});
    if (!sums.empty())
      if (auto type = llvm::dyn_cast<mlir::RankedTensorType>(sums[0].getType()))
        shape = type.getShape();
  }

  bool addResult(Value value, unsigned binding);

  std::string body;
  std::vector<ElementFunctor::Operand> operands;
  std::vector<ElementFunctor::Result> results;

private:
  mlir::func::FuncOp kernel;
  llvm::ArrayRef<int64_t> shape;
  llvm::DenseMap<Value, unsigned> sumNumbers;
  llvm::DenseMap<Value, std::string> exact, rounded; // the latter in the value's own type
  unsigned next = 0;

  std::string define(llvm::StringRef type, const std::string &value);
  std::string readOperand(unsigned argument, DType dtype, ElementFunctor::Shape kind);
  bool hasShape(Value value) const;
  Text get(Value value);      // as its users see it
  Text getExact(Value value); // before it is rounded to its type
  Text compute(Value value);
  Text inlineBody(ElementwiseOpInterface op, Texts operands);
};
} // namespace

std::string Writer::define(llvm::StringRef type, const std::string &value) {
  std::string name = llvm::formatv("v{0}", next++);
  body += llvm::formatv("    const {0} {1} = {2};\n", type, name, value);
  return name;
}

std::string Writer::readOperand(unsigned argument, DType dtype, ElementFunctor::Shape kind) {
  auto known = llvm::find_if(operands, [&](const ElementFunctor::Operand &operand) {
    return operand.argument == argument && operand.shape == kind;
  });
  auto index = std::distance(operands.begin(), known);
  if (known == operands.end())
    operands.push_back({argument, dtype, kind});
  return llvm::formatv("operands[{0}]", index);
}

bool Writer::hasShape(Value value) const {
  auto type = llvm::dyn_cast<mlir::RankedTensorType>(value.getType());
  return type && type.getShape() == shape && isHandled(type);
}

Text Writer::get(Value value) {
  if (auto known = rounded.find(value); known != rounded.end())
    return known->second;
  Text text = getExact(value);
  DType dtype = floatDType(mlir::getElementTypeOrSelf(value.getType()));
  bool isStored = llvm::isa<mlir::BlockArgument>(value) && !sumNumbers.contains(value);
  if (!text || dtype == DType::F32 || dtype == DType::Invalid || isStored)
    return text;
  rounded[value] =
      define("float", llvm::formatv("levin::kernels::roundTo<{0}>({1})", scalarName(dtype), *text));
  return rounded[value];
}

Text Writer::getExact(Value value) {
  if (auto known = exact.find(value); known != exact.end())
    return known->second;
  if (!hasShape(value))
    return std::nullopt;
  Text text = compute(value);
  if (text)
    exact[value] = *text;
  return text;
}

Text Writer::compute(Value value) {
  if (auto sum = sumNumbers.find(value); sum != sumNumbers.end()) {
    std::string text = llvm::formatv("sums[{0}]", sum->second);
    auto linear = value.getDefiningOp<nn::LinearOp>();
    if (!linear || !linear.getBias())
      return text;
    auto bias = llvm::dyn_cast<mlir::BlockArgument>(linear.getBias());
    DType dtype = floatDType(mlir::getElementTypeOrSelf(linear.getBias().getType()));
    if (!bias || dtype == DType::Invalid)
      return std::nullopt;
    std::string vector = readOperand(bias.getArgNumber(), dtype, ElementFunctor::Shape::Column);
    return define("float", text + " + " + vector);
  }
  if (auto argument = llvm::dyn_cast<mlir::BlockArgument>(value)) {
    DType dtype = floatDType(mlir::getElementTypeOrSelf(value.getType()));
    if (dtype == DType::Invalid)
      return std::nullopt;
    return readOperand(argument.getArgNumber(), dtype, ElementFunctor::Shape::Tile);
  }
  Operation *op = value.getDefiningOp();
  llvm::SmallVector<std::string> inputs;
  for (Value operand : op->getOperands()) {
    Text text = get(operand);
    if (!text)
      return std::nullopt;
    inputs.push_back(*text);
  }
  if (auto tail = llvm::dyn_cast<nn::MaskTailOp>(op))
    return define("float", llvm::formatv("column < {0} ? {1} : __uint_as_float(0xff800000u)",
                                         tail.getLive(), inputs[0]));
  if (auto elementwise = llvm::dyn_cast<ElementwiseOpInterface>(op))
    return inlineBody(elementwise, inputs);
  if (!llvm::isa<arith::ConstantOp>(op) &&
      (!mlir::OpTrait::hasElementwiseMappableTraits(op) || op->getNumRegions() != 0))
    return std::nullopt;
  Text text = expression(op, inputs);
  if (!text || llvm::isa<arith::ConstantOp, arith::ExtFOp, arith::TruncFOp>(op))
    return text;
  return define(mlir::getElementTypeOrSelf(value.getType()).isInteger(1) ? "bool" : "float", *text);
}

/// The op's own definition, built for float32 scalars in a block of its own and translated.
Text Writer::inlineBody(ElementwiseOpInterface op, Texts inputs) {
  mlir::OpBuilder builder(op.getContext());
  mlir::Block block;
  llvm::DenseMap<Value, std::string> names;
  for (const std::string &input : inputs)
    names[block.addArgument(builder.getF32Type(), op.getLoc())] = input;
  builder.setInsertionPointToStart(&block);
  Value result = op.buildElement(builder, block.getArguments());
  for (Operation &inner : block) {
    llvm::SmallVector<std::string> operands;
    for (Value operand : inner.getOperands())
      operands.push_back(names[operand]);
    Text text = expression(&inner, operands);
    if (!text)
      return std::nullopt;
    bool isConstant = llvm::isa<arith::ConstantOp>(&inner);
    mlir::Type type = inner.getResult(0).getType();
    names[inner.getResult(0)] =
        isConstant ? *text : define(type.isInteger(1) ? "bool" : "float", *text);
  }
  return names[result];
}

bool Writer::addResult(Value value, unsigned binding) {
  Text text = getExact(value);
  DType dtype = floatDType(mlir::getElementTypeOrSelf(value.getType()));
  if (!text || dtype == DType::Invalid)
    return false;
  body += llvm::formatv("    results[{0}] = {1};\n", results.size(), *text);
  results.push_back({binding, dtype});
  return true;
}

//===-- functors -------------------------------------------------------------===//

/// `static constexpr TYPE NAME[] = {..};`, with one unused element if there would be none.
static std::string table(llvm::StringRef type, llvm::StringRef name,
                         llvm::ArrayRef<std::string> items, llvm::StringRef none) {
  return llvm::formatv("  static constexpr {0} {1}[] = {{{2}};\n", type, name,
                       items.empty() ? none.str() : llvm::join(items, ", "));
}

static std::string declarations(const Writer &writer, size_t sums) {
  std::vector<std::string> operandTypes, columns, resultTypes;
  auto nameOf = [](DType dtype) {
    llvm::StringRef name = scalarName(dtype);
    name.consume_front("levin::kernels::");
    return name.str();
  };
  for (const ElementFunctor::Operand &operand : writer.operands) {
    operandTypes.push_back(nameOf(operand.dtype));
    columns.push_back(operand.shape == ElementFunctor::Shape::Column ? "true" : "false");
  }
  for (const ElementFunctor::Result &result : writer.results)
    resultTypes.push_back(nameOf(result.dtype));
  return llvm::formatv("  using Scalar = levin::kernels::Scalar;\n"
                       "  static constexpr int sumCount = {0}, operandCount = {1}, resultCount = "
                       "{2};\n",
                       sums, operandTypes.size(), resultTypes.size())
             .str() +
         table("Scalar", "operandTypes", operandTypes, "Scalar::F32") +
         table("bool", "operandIsColumn", columns, "false") +
         table("Scalar", "resultTypes", resultTypes, "Scalar::F32");
}

std::optional<ElementFunctor> makeFunctor(mlir::func::FuncOp kernel, llvm::ArrayRef<Value> sums,
                                          llvm::StringRef name) {
  Writer writer(kernel, sums);
  unsigned binding = kernel.getNumArguments();
  auto returned = kernel.getBody().front().getTerminator()->getOperands();
  for (auto [value, tied] : llvm::zip(returned, tiedResults(kernel)))
    if (tied < 0 && !writer.addResult(value, binding++))
      return std::nullopt;
  if (sums.empty() || writer.results.empty())
    return std::nullopt;
  std::string rest =
      " {\n" + declarations(writer, sums.size()) +
      "  static __device__ __forceinline__ void apply(const float *sums, const "
      "float *operands,\n"
      "                                               float *results, int column) {\n" +
      writer.body + "  }\n};\n";
  return ElementFunctor{"struct " + name.str() + rest, digestOf(rest), std::move(writer.operands),
                        std::move(writer.results)};
}

std::string ElementFunctor::tail(llvm::StringRef prefix) const {
  std::vector<std::string> reads, writes;
  for (const Operand &operand : operands)
    reads.push_back(prefix.str() + std::to_string(operand.argument));
  for (const Result &result : results)
    writes.push_back(prefix.str() + std::to_string(result.binding));
  return "{{" + llvm::join(reads, ", ") + "}, {" + llvm::join(writes, ", ") + "}}";
}

} // namespace levin::cuda
