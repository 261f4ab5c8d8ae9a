// Parameters: their text form, their rules, and the rules of what refers to them.
#include "dialects/nn/NN.h"

using namespace mlir;

namespace levin::nn {

// nn.parameter @w : TYPE = concat [<"a">, ..]  or  nn.parameter @w : TYPE = VALUE
ParseResult ParameterOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr name;
  RankedTensorType type;
  auto &properties = result.getOrAddProperties<Properties>();
  if (parser.parseSymbolName(name) || parser.parseColonType(type) || parser.parseEqual())
    return failure();
  properties.sym_name = name;
  properties.type = TypeAttr::get(type);

  StringRef keyword;
  SMLoc keywordLoc = parser.getCurrentLocation();
  if (succeeded(parser.parseOptionalKeyword(&keyword, {"concat", "stack"}))) {
    properties.join = JoinAttr::get(parser.getContext(), *symbolizeJoin(keyword));
    SmallVector<Attribute> pieces;
    auto parsePiece = [&]() -> ParseResult {
      Attribute piece = PieceAttr::parse(parser, Type());
      if (!piece)
        return failure();
      pieces.push_back(piece);
      return success();
    };
    if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parsePiece))
      return failure();
    properties.pieces = ArrayAttr::get(parser.getContext(), pieces);
  } else {
    Attribute value;
    if (parser.parseAttribute(value, type))
      return failure();
    properties.value = dyn_cast<ElementsAttr>(value);
    if (!properties.value)
      return parser.emitError(keywordLoc, "expected 'concat', 'stack' or a dense value");
  }
  return parser.parseOptionalAttrDict(result.attributes);
}

void ParameterOp::print(OpAsmPrinter &printer) {
  printer << ' ';
  printer.printSymbolName(getSymName());
  printer << " : " << getType() << " = ";
  if (auto join = getJoin()) {
    printer << stringifyJoin(*join) << " [";
    llvm::interleaveComma(getPiecesAttr().getAsRange<PieceAttr>(), printer,
                          [&](PieceAttr piece) { piece.print(printer); });
    printer << ']';
  } else {
    printer.printAttributeWithoutType(getValueAttr());
  }
  printer.printOptionalAttrDict((*this)->getAttrs(),
                                {"sym_name", "type", "join", "pieces", "value"});
}

LogicalResult ParameterOp::verify() {
  bool joined = getJoin().has_value();
  if (joined == getValue().has_value()) // (C1)
    return emitOpError(joined ? "has a join and a value" : "has neither a join nor a value")
           << ", expected one of them (C1)";
  if (joined && (!getPieces() || getPieces()->empty())) // (C1)
    return emitOpError("joins no piece, expected at least one (C1)");
  if (!joined && getPieces()) // (C1)
    return emitOpError("has pieces but no join; say 'concat' or 'stack' (C1)");

  auto type = cast<RankedTensorType>(getType());
  if (!joined && getValue()->getShapedType() != type) // (C2)
    return emitOpError("has a value of type ")
           << getValue()->getShapedType() << ", expected " << type << " (C2)";
  if (!type.hasStaticShape() || !type.getElementType().isIntOrFloat()) // (C3)
    return emitOpError("has type ")
           << type << ", expected a static shape and float or integer elements (C3)";
  return success();
}

LogicalResult PieceAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringRef key,
                                ArrayRef<int64_t> starts, ArrayRef<int64_t> sizes) {
  if (key.empty())
    return emitError() << "the piece names no tensor, expected a key of the checkpoint";
  if (starts.size() != sizes.size())
    return emitError() << "the box of '" << key << "' has " << starts.size() << " starts and "
                       << sizes.size() << " sizes, expected one of each a dimension";
  for (auto [start, size] : llvm::zip_equal(starts, sizes))
    if (start < 0 || size < 1)
      return emitError() << "the box of '" << key << "' has start " << start << " and size " << size
                         << ", expected a start of at least 0 and a size of at least 1";
  return success();
}

LogicalResult UseOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto parameter = symbols.lookupNearestSymbolFrom<ParameterOp>(*this, getParameterAttr());
  if (!parameter) // (C1)
    return emitOpError("uses ") << getParameterAttr()
                                << ", which is no nn.parameter; declare it in the module (C1)";
  if (parameter.getType() != getValue().getType()) { // (C2)
    InFlightDiagnostic error = emitOpError("gives ")
                               << getValue().getType() << ", expected " << parameter.getType()
                               << " as the parameter has (C2)";
    error.attachNote(parameter.getLoc()) << "declared here";
    return error;
  }
  return success();
}

/// Checks the attributes of the dialect on an argument or a result of a function.
static LogicalResult verifyValueAttribute(Operation *op, NamedAttribute attribute) {
  if (attribute.getName() == "nn.role" && !isa<RoleAttr>(attribute.getValue()))
    return op->emitOpError("has nn.role ")
           << attribute.getValue() << ", expected a #nn.role<..>, such as #nn.role<ids>";
  if (attribute.getName() == "nn.name" && !isa<StringAttr>(attribute.getValue()))
    return op->emitOpError("has nn.name ") << attribute.getValue() << ", expected a string";
  return success();
}

LogicalResult NNDialect::verifyRegionArgAttribute(Operation *op, unsigned, unsigned,
                                                  NamedAttribute attribute) {
  return verifyValueAttribute(op, attribute);
}

LogicalResult NNDialect::verifyRegionResultAttribute(Operation *op, unsigned, unsigned,
                                                     NamedAttribute attribute) {
  return verifyValueAttribute(op, attribute);
}

} // namespace levin::nn
