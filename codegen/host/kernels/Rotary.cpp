#include "codegen/host/kernels/Rotary.h"

#include "dialects/nn/NN.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <numbers>
#include <numeric>

namespace levin::host::kernels {

namespace arith = mlir::arith;

Rotary::Rotary(Emit &e, double theta, int64_t width, int64_t size)
    : e(e), half(width / 2), size(size), lanes(std::gcd(std::max<int64_t>(half, 1), e.lanes)) {
  if (half == 0)
    return;
  frequencies = nn::rotaryFrequencies(theta, width);
  cosines = e.scratch(half);
  sines = e.scratch(half);
}

void Rotary::setPosition(Value position) {
  mlir::OpBuilder &b = e.builder;
  mlir::Location loc = e.loc;
  Type f64 = b.getF64Type();
  auto wide = e.vectorType(lanes, f64);
  auto splat = [&](double value) -> Value {
    return arith::ConstantOp::create(b, loc, mlir::DenseElementsAttr::get(wide, value));
  };
  if (half == 0)
    return;
  Value number = arith::IndexCastOp::create(b, loc, b.getI32Type(), position);
  Value places = e.broadcast(arith::SIToFPOp::create(b, loc, e.f32(), number), lanes);
  for (int64_t j = 0; j < half; j += lanes) {
    Value frequency = arith::ConstantOp::create(
        b, loc,
        mlir::DenseElementsAttr::get(e.vectorType(lanes),
                                     ArrayRef<float>(frequencies).slice(j, lanes)));
    // The angle is a float32, as in training; its turns are taken off in float64.
    Value angle = e.toFloat(e.mulf(places, frequency), f64);
    Value turns = mlir::math::FloorOp::create(
        b, loc, e.addf(e.mulf(angle, splat(0.5 / std::numbers::pi)), splat(0.5)));
    Value reduced = e.toFloat(e.subf(angle, e.mulf(turns, splat(2 * std::numbers::pi))), e.f32());
    e.store(mlir::math::CosOp::create(b, loc, reduced), cosines, e.index(j));
    e.store(mlir::math::SinOp::create(b, loc, reduced), sines, e.index(j));
  }
}

void Rotary::emit(Value from, Value fromBegin, Value to, Value toBegin, double factor) {
  for (int64_t j = 0; j < half; j += lanes) {
    Value scale = e.splat(factor, lanes);
    Value low = e.mulf(e.load(from, e.add(fromBegin, j), lanes), scale);
    Value high = e.mulf(e.load(from, e.add(fromBegin, half + j), lanes), scale);
    Value cosine = e.load(cosines, e.index(j), lanes), sine = e.load(sines, e.index(j), lanes);
    e.store(e.subf(e.mulf(low, cosine), e.mulf(high, sine)), to, e.add(toBegin, j));
    e.store(e.addf(e.mulf(high, cosine), e.mulf(low, sine)), to, e.add(toBegin, half + j));
  }
  int64_t rest = size - 2 * half;
  int64_t step = std::gcd(std::max<int64_t>(rest, 1), e.lanes);
  for (int64_t c = 2 * half; c < size; c += step) {
    Value vector = e.mulf(e.load(from, e.add(fromBegin, c), step), e.splat(factor, step));
    e.store(vector, to, e.add(toBegin, c));
  }
}

} // namespace levin::host::kernels
