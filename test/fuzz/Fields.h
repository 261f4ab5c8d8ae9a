// Every field of a manifest, for a mutator that changes one.
#ifndef LEVIN_TEST_FUZZ_FIELDS_H
#define LEVIN_TEST_FUZZ_FIELDS_H

#include "runtime/artifact/Manifest.h"

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace levin::artifact {

/// Calls `visit` with a reference to each number, enum, string, vector, optional and variant of
/// what is walked, parents before children.
template <typename Visit> class Walker {
public:
  explicit Walker(Visit visit) : visit(visit) {}

  void walk(Manifest &m) {
    all(m.features, m.producer, m.worldSize, m.segments, m.weightFiles, m.assets, m.parameters,
        m.executables, m.arenas, m.programs, m.entries, m.model, m.debug);
  }

private:
  template <typename... Fields> void all(Fields &...fields) { (walk(fields), ...); }

  template <typename T>
    requires(std::is_integral_v<T> || std::is_enum_v<T>)
  void walk(T &value) {
    visit(value);
  }
  void walk(std::string &text) { visit(text); }
  void walk(std::vector<bool> &flags) { visit(flags); }
  template <typename T> void walk(std::vector<T> &elements) {
    visit(elements);
    for (T &element : elements)
      walk(element);
  }
  template <typename T, size_t N> void walk(std::array<T, N> &elements) {
    for (T &element : elements)
      walk(element);
  }
  template <typename T> void walk(std::optional<T> &value) {
    visit(value);
    if (value)
      walk(*value);
  }
  template <typename... Ts> void walk(std::variant<Ts...> &value) {
    visit(value);
    std::visit([this](auto &chosen) { walk(chosen); }, value);
  }
  template <typename A, typename B> void walk(std::pair<A, B> &pair) {
    all(pair.first, pair.second);
  }

  void walk(Producer &p) { all(p.compiler, p.sourceDigest, p.options); }
  void walk(Segment &s) { all(s.offset, s.size, s.alignment, s.digest); }
  void walk(WeightFile &f) { all(f.name, f.size, f.digest); }
  void walk(Asset &a) { all(a.name, a.segment); }
  void walk(TensorType &t) { all(t.dtype, t.shape); }
  void walk(Piece &p) { all(p.file, p.key, p.dtype, p.shape, p.starts, p.sizes); }
  void walk(Pieces &p) { all(p.join, p.pieces); }
  void walk(SegmentBytes &b) { all(b.segment, b.offset, b.size); }
  void walk(Parameter &p) { all(p.name, p.type, p.source, p.panelRows, p.offset, p.size); }
  void walk(TensorMap &m) {
    all(m.binding, m.dtype, m.swizzle, m.offset, m.extents, m.strides, m.box);
  }
  void walk(DeviceLaunch &l) {
    all(l.symbol, l.grid, l.block, l.cluster, l.blocksPerProcessor, l.sharedBytes, l.scalars,
        l.tensorMaps, l.concurrent, l.programmatic, l.registers, l.staticSharedBytes, l.spillBytes);
  }
  void walk(LibraryProduct &p) {
    all(p.m, p.n, p.k, p.input, p.weight, p.output, p.inputType, p.weightType, p.outputType);
  }
  void walk(Export &e) {
    all(e.name, e.written, e.minAlignment, e.stackBytes, e.launches, e.scratchBytes, e.product);
  }
  void walk(Variant &v) { all(v.target, v.kind, v.segment, v.cpuFeatures); }
  void walk(Executable &e) { all(e.exports, e.variants); }
  void walk(Arena &a) { all(a.kind, a.size, a.alignment); }
  void walk(Slice &s) { all(s.offset, s.size, s.arena, s.firstCommand, s.lastCommand); }
  void walk(Ref &r) { all(r.offset, r.size, r.slice); }
  void walk(Launch &l) { all(l.executable, l.exportIndex, l.grid, l.bindings); }
  void walk(Copy &c) { all(c.source, c.target); }
  void walk(Item &i) { all(i.command, i.location); }
  void walk(Stream &s) { all(s.items); }
  void walk(RankProgram &p) {
    all(p.streams, p.slices, p.workspaceBytes, p.peakBytes, p.orderHash);
  }
  void walk(Program &p) { all(p.name, p.ranks); }
  void walk(Binding &b) { all(b.name, b.role, b.type, b.slices); }
  void walk(Entry &e) {
    all(e.name, e.program, e.tokens, e.sequences, e.rows, e.inputs, e.outputs, e.state);
  }
  void walk(Model &m) {
    all(m.family, m.vocabulary, m.slots, m.maxContext, m.beginToken, m.endTokens, m.layers,
        m.parameters, m.pages, m.pageTokens);
  }
  void walk(Debug &d) { all(d.locations, d.pipeline); }

  Visit visit;
};

} // namespace levin::artifact

#endif // LEVIN_TEST_FUZZ_FIELDS_H
