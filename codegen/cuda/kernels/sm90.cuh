// A thin layer over the instructions of sm_90a that CUDA C++ does not expose.
//
// Shared memory is addressed by its 32-bit address in the CTA's window (see sharedAddress()), which
// is what the instructions take.  Barriers are 8 bytes each, at addresses divisible by 8; tiles
// with 128-byte swizzle begin at addresses divisible by 1024.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_SM90_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_SM90_CUH

#include <cuda.h>
#include <cuda_bf16.h>
#include <stdint.h>

namespace levin::kernels::sm90 {

__device__ __forceinline__ uint32_t sharedAddress(const void *pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}
/// The byte offset, in a tile of 128-byte rows, at which 128-byte swizzle puts byte `offset`: the
/// 16-byte part of a row is exchanged by the row's number modulo 8.
__device__ __forceinline__ constexpr uint32_t swizzle128(uint32_t offset) {
  return offset ^ ((offset >> 3) & 0x70);
}
/// True in one thread of a converged warp.
__device__ __forceinline__ bool electOne() {
  uint32_t elected;
  asm volatile("{\n.reg .pred p;\nelect.sync _|p, 0xFFFFFFFF;\nselp.u32 %0, 1, 0, p;\n}"
               : "=r"(elected));
  return elected != 0;
}
/// The number of the caller's warp, known to be the same in all of its threads.
__device__ __forceinline__ int warpIndex() {
  return __shfl_sync(0xFFFFFFFF, static_cast<int>(threadIdx.x) / 32, 0);
}

//===- Barriers in shared memory ------------------------------------------------------------===//

__device__ __forceinline__ void initBarrier(uint32_t barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
/// Makes initialised barriers visible to the copy engine and to the cluster.
__device__ __forceinline__ void fenceBarrierInit() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
/// Arrives, and makes the phase wait for `bytes` more from the copy engine.
__device__ __forceinline__ void arriveExpect(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
/// Arrives at the barrier at the same address in another CTA of the cluster.  Orders what the
/// tensor cores and the copy engine did, as a freed stage needs, but no ordinary accesses: a
/// release for the whole cluster would wait for all of the thread's, for a microsecond.
__device__ __forceinline__ void arriveRemote(uint32_t barrier, uint32_t cta) {
  asm volatile("{\n.reg .b32 remote;\nmapa.shared::cluster.u32 remote, %0, %1;\n"
               "mbarrier.arrive.shared::cluster.b64 _, [remote];\n}" ::"r"(barrier),
               "r"(cta)
               : "memory");
}
__device__ __forceinline__ bool tryWait(uint32_t barrier, uint32_t parity) {
  uint32_t done;
  asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
               "selp.u32 %0, 1, 0, p;\n}"
               : "=r"(done)
               : "r"(barrier), "r"(parity)
               : "memory");
  return done != 0;
}
/// Waits until the phase of `parity` is complete.  A new barrier is in phase 0: waiting for parity
/// 1 returns at once.
__device__ __forceinline__ void wait(uint32_t barrier, uint32_t parity) {
  while (!tryWait(barrier, parity)) {
  }
}

/// A stage of a ring and the parity of its current round.
template <int Stages> struct RingPosition {
  int stage = 0;
  uint32_t parity = 0;
  __device__ __forceinline__ void advance() {
    if (++stage == Stages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

//===- The copy engine ----------------------------------------------------------------------===//

/// Keeps or drops what a copy brings into L2: pass as `policy` of a load.
constexpr uint64_t evictFirst = 0x12F0000000000000, evictLast = 0x14F0000000000000,
                   evictNormal = 0x1000000000000000;

__device__ __forceinline__ void prefetchMap(const CUtensorMap *map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
// Coordinates are elements of the tensor, innermost first, and may lie outside of it: such elements
// load as zeros and are not stored.  One thread issues a copy; loads complete on `barrier`.
#define LEVIN_TMA_LOAD "cp.async.bulk.tensor."
#define LEVIN_TMA_INTO ".shared::cluster.global.mbarrier::complete_tx::bytes"
__device__ __forceinline__ void load2D(uint32_t target, const CUtensorMap *map, uint32_t barrier,
                                       int32_t x, int32_t y, uint64_t policy = evictNormal) {
  asm volatile(LEVIN_TMA_LOAD "2d" LEVIN_TMA_INTO
                              ".L2::cache_hint [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(target),
               "l"(map), "r"(barrier), "r"(x), "r"(y), "l"(policy)
               : "memory");
}
__device__ __forceinline__ void load3D(uint32_t target, const CUtensorMap *map, uint32_t barrier,
                                       int32_t x, int32_t y, int32_t z,
                                       uint64_t policy = evictNormal) {
  asm volatile(LEVIN_TMA_LOAD "3d" LEVIN_TMA_INTO
                              ".L2::cache_hint [%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(target),
               "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z), "l"(policy)
               : "memory");
}
__device__ __forceinline__ void load4D(uint32_t target, const CUtensorMap *map, uint32_t barrier,
                                       int32_t x, int32_t y, int32_t z, int32_t w,
                                       uint64_t policy = evictNormal) {
  asm volatile(LEVIN_TMA_LOAD
               "4d" LEVIN_TMA_INTO
               ".L2::cache_hint [%0], [%1, {%3, %4, %5, %6}], [%2], %7;" ::"r"(target),
               "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z), "r"(w), "l"(policy)
               : "memory");
}
// Loads into the same address, and completing on the same barrier address, of every CTA of the
// cluster whose bit is set in `ctas`.
__device__ __forceinline__ void load2DMulticast(uint32_t target, const CUtensorMap *map,
                                                uint32_t barrier, uint16_t ctas, int32_t x,
                                                int32_t y, uint64_t policy = evictNormal) {
  asm volatile(
      LEVIN_TMA_LOAD
      "2d" LEVIN_TMA_INTO
      ".multicast::cluster.L2::cache_hint [%0], [%1, {%4, %5}], [%2], %3, %6;" ::"r"(target),
      "l"(map), "r"(barrier), "h"(ctas), "r"(x), "r"(y), "l"(policy)
      : "memory");
}
__device__ __forceinline__ void load3DMulticast(uint32_t target, const CUtensorMap *map,
                                                uint32_t barrier, uint16_t ctas, int32_t x,
                                                int32_t y, int32_t z,
                                                uint64_t policy = evictNormal) {
  asm volatile(
      LEVIN_TMA_LOAD
      "3d" LEVIN_TMA_INTO
      ".multicast::cluster.L2::cache_hint [%0], [%1, {%4, %5, %6}], [%2], %3, %7;" ::"r"(target),
      "l"(map), "r"(barrier), "h"(ctas), "r"(x), "r"(y), "r"(z), "l"(policy)
      : "memory");
}
__device__ __forceinline__ void load4DMulticast(uint32_t target, const CUtensorMap *map,
                                                uint32_t barrier, uint16_t ctas, int32_t x,
                                                int32_t y, int32_t z, int32_t w,
                                                uint64_t policy = evictNormal) {
  asm volatile(
      LEVIN_TMA_LOAD
      "4d" LEVIN_TMA_INTO
      ".multicast::cluster.L2::cache_hint [%0], [%1, {%4, %5, %6, %7}], [%2], %3, %8;" ::"r"(
          target),
      "l"(map), "r"(barrier), "h"(ctas), "r"(x), "r"(y), "r"(z), "r"(w), "l"(policy)
      : "memory");
}
#undef LEVIN_TMA_LOAD
#undef LEVIN_TMA_INTO

// Stores are grouped: storeCommit(), then storeWait.  Ordinary writes to `source` need
// fenceAsyncShared() in each writing thread, then a barrier, before the store is issued.
__device__ __forceinline__ void store2D(const CUtensorMap *map, uint32_t source, int32_t x,
                                        int32_t y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map),
      "r"(source), "r"(x), "r"(y)
      : "memory");
}
__device__ __forceinline__ void store3D(const CUtensorMap *map, uint32_t source, int32_t x,
                                        int32_t y, int32_t z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(map),
      "r"(source), "r"(x), "r"(y), "r"(z)
      : "memory");
}
__device__ __forceinline__ void store4D(const CUtensorMap *map, uint32_t source, int32_t x,
                                        int32_t y, int32_t z, int32_t w) {
  asm volatile(
      "cp.async.bulk.tensor.4d.global.shared::cta.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(
          map),
      "r"(source), "r"(x), "r"(y), "r"(z), "r"(w)
      : "memory");
}
/// Copies `bytes`, a multiple of 16 between addresses divisible by 16.
__device__ __forceinline__ void loadBulk(uint32_t target, const void *source, uint32_t bytes,
                                         uint32_t barrier, uint64_t policy = evictNormal) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
               "[%0], [%1], %2, [%3], %4;" ::"r"(target),
               "l"(source), "r"(bytes), "r"(barrier), "l"(policy)
               : "memory");
}
__device__ __forceinline__ void storeBulk(void *target, uint32_t source, uint32_t bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(target),
               "r"(source), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void storeCommit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
/// Waits until all but the last `Pending` groups have read their sources.
template <int Pending> __device__ __forceinline__ void storeWaitRead() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(Pending) : "memory");
}
/// Waits until all but the last `Pending` groups are complete and their writes visible.
template <int Pending> __device__ __forceinline__ void storeWait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(Pending) : "memory");
}

/// Copies 16 bytes, of which those after `valid` are zeros and not read.
__device__ __forceinline__ void copy16(uint32_t target, const void *source, uint32_t valid = 16) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(target), "l"(source),
               "r"(valid)
               : "memory");
}
__device__ __forceinline__ void copyCommit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int Pending> __device__ __forceinline__ void copyWait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}
/// Arrives once the thread's copies so far are complete; counts as one of the barrier's arrivals.
/// What the copies wrote is not ordered before reads of the tensor cores: see fenceAsyncShared().
__device__ __forceinline__ void copyArrive(uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}

//===- Order --------------------------------------------------------------------------------===//

/// Orders the thread's ordinary accesses of shared memory before later ones of the tensor cores
/// and the copy engine (after a barrier, also those that other threads issue).
__device__ __forceinline__ void fenceAsyncShared() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
/// The same for global memory.
__device__ __forceinline__ void fenceAsyncGlobal() {
  asm volatile("fence.proxy.async.global;" ::: "memory");
}
/// A barrier of `threads` threads; 0 is the one of __syncthreads().
__device__ __forceinline__ void namedBarrier(int number, int threads) {
  asm volatile("barrier.sync %0, %1;" ::"r"(number), "r"(threads) : "memory");
}
__device__ __forceinline__ void namedArrive(int number, int threads) {
  asm volatile("barrier.arrive %0, %1;" ::"r"(number), "r"(threads) : "memory");
}
/// Registers of each thread of the calling warpgroup from here on: a multiple of 8 from 24 to 240.
/// Needs __launch_bounds__(threads, 1) on the kernel.
template <int Registers> __device__ __forceinline__ void moreRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}
template <int Registers> __device__ __forceinline__ void fewerRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}
/// Programmatic dependent launch: waits until the kernels before are complete, and their writes
/// visible.  Nothing if the launch is not programmatic.
__device__ __forceinline__ void gridWait() { asm volatile("griddepcontrol.wait;" ::: "memory"); }
/// Lets the next kernel start, up to its gridWait().
__device__ __forceinline__ void gridLaunch() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

__device__ __forceinline__ uint32_t clusterRank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
__device__ __forceinline__ void clusterArrive() {
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}
__device__ __forceinline__ void clusterWait() {
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}
/// All threads of all CTAs of the cluster.
__device__ __forceinline__ void clusterSync() {
  clusterArrive();
  clusterWait();
}
/// The address, in the cluster's window, of `address` in another CTA.
__device__ __forceinline__ uint32_t mapToCta(uint32_t address, uint32_t cta) {
  uint32_t mapped;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(mapped) : "r"(address), "r"(cta));
  return mapped;
}

//===- Fragments ----------------------------------------------------------------------------===//

// Matrices of 8 rows of 16 bytes; thread 8 i + r of the warp gives the address of row r of matrix
// i.  In fragment i, thread t holds elements 2 (t % 4) and 2 (t % 4) + 1 of row t / 4; with
// Transposed, of column t / 4.
template <bool Transposed = false>
__device__ __forceinline__ void loadMatrix4(uint32_t (&fragment)[4], uint32_t address) {
  if constexpr (Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                 : "r"(address)
                 : "memory");
}
template <bool Transposed = false>
__device__ __forceinline__ void loadMatrix2(uint32_t (&fragment)[2], uint32_t address) {
  if constexpr (Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(fragment[0]), "=r"(fragment[1])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(fragment[0]), "=r"(fragment[1])
                 : "r"(address)
                 : "memory");
}
template <bool Transposed = false>
__device__ __forceinline__ void storeMatrix4(uint32_t address, uint32_t a, uint32_t b, uint32_t c,
                                             uint32_t d) {
  if constexpr (Transposed)
    asm volatile(
        "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
        "r"(a), "r"(b), "r"(c), "r"(d)
        : "memory");
  else
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
                 "r"(a), "r"(b), "r"(c), "r"(d)
                 : "memory");
}
template <bool Transposed = false>
__device__ __forceinline__ void storeMatrix2(uint32_t address, uint32_t a, uint32_t b) {
  if constexpr (Transposed)
    asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(address),
                 "r"(a), "r"(b)
                 : "memory");
  else
    asm volatile("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%0], {%1, %2};" ::"r"(address), "r"(a),
                 "r"(b)
                 : "memory");
}
/// Two values rounded to bf16, `low` in the lower half.
__device__ __forceinline__ uint32_t packBf16(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
__device__ __forceinline__ float lowBf16(uint32_t packed) { return __uint_as_float(packed << 16); }
__device__ __forceinline__ float highBf16(uint32_t packed) {
  return __uint_as_float(packed & 0xFFFF0000u);
}
/// 2^x to about 2 ulp; 0 below -126.
__device__ __forceinline__ float exp2Fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
/// 1 / x to 1 ulp.
__device__ __forceinline__ float reciprocalFast(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
/// d += a b of one warp: [16, 16] and [16, 8] in bf16; fragments as of loadMatrix.
__device__ __forceinline__ void mma16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                         uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
               "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

//===- Tensor cores of a warpgroup ----------------------------------------------------------===//

/// Describes an operand whose rows run along k: rows of 64 16-bit elements (128 bytes, swizzled)
/// 128 bytes apart.  For elements 16 i.. of k, add 32 i to the address; row 0 is at a multiple of
/// 1024, and each eight rows `stride` bytes after the eight before.
__device__ __forceinline__ uint64_t descriptorK(uint32_t address, uint32_t stride = 1024) {
  return uint64_t((address & 0x3FFFF) >> 4) | uint64_t(1) << 16 | uint64_t(stride >> 4) << 32 |
         uint64_t(1) << 62;
}
/// Describes an operand whose rows run along m or n: for each 64 of m or n a block of rows of
/// 128 bytes (swizzled), one row for each k; blocks are `blockBytes` apart.  For elements 16 i.. of
/// k, add 2048 i to the address.
__device__ __forceinline__ uint64_t descriptorMN(uint32_t address, uint32_t blockBytes) {
  return uint64_t((address & 0x3FFFF) >> 4) | uint64_t(blockBytes >> 4) << 16 |
         uint64_t(1024 >> 4) << 32 | uint64_t(1) << 62;
}
/// `descriptor` of an address `bytes` further on.
__device__ __forceinline__ uint64_t advance(uint64_t descriptor, uint32_t bytes) {
  return descriptor + (bytes >> 4);
}
/// Orders accesses of accumulators and A registers before the products that follow: before the
/// first product, and whenever such registers were written since.
__device__ __forceinline__ void wgmmaFence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmmaCommit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Waits until all but the last `Pending` groups are complete.
template <int Pending> __device__ __forceinline__ void wgmmaWait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}
/// Keeps the compiler from moving accesses of accumulators across this point.
template <int Count> __device__ __forceinline__ void wgmmaHold(float (&d)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; ++i)
    asm volatile("" : "+f"(d[i])::"memory");
}

/// d = a b + (accumulate ? d : 0) for a [64, 16] and b [16, N] of bf16, d of float32.  In d, thread
/// t of warp w holds of row 16 w + t / 4 (+ 8 with element 2 set in i % 4) the columns
/// 8 (i / 4) + 2 (t % 4) + i % 2.  A in registers has the layout of mma16816().  TransposeA and
/// TransposeB: the operand's rows in shared memory run along m or n, not k.
template <int N> struct Wgmma;

// Operand numbers and accumulators, eight at a time.
#define LEVIN_V4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define LEVIN_V8(i) LEVIN_V4(i), LEVIN_V4(i + 4)
#define LEVIN_R1 "%0, %1, %2, %3, %4, %5, %6, %7"
#define LEVIN_R2                                                                                   \
  LEVIN_R1 ", "                                                                                    \
           "%8, %9, %10, %11, %12, %13, %14, %15"
#define LEVIN_R3                                                                                   \
  LEVIN_R2 ", "                                                                                    \
           "%16, %17, %18, %19, %20, %21, %22, %23"
#define LEVIN_R4                                                                                   \
  LEVIN_R3 ", "                                                                                    \
           "%24, %25, %26, %27, %28, %29, %30, %31"
#define LEVIN_R5                                                                                   \
  LEVIN_R4 ", "                                                                                    \
           "%32, %33, %34, %35, %36, %37, %38, %39"
#define LEVIN_R6                                                                                   \
  LEVIN_R5 ", "                                                                                    \
           "%40, %41, %42, %43, %44, %45, %46, %47"
#define LEVIN_R7                                                                                   \
  LEVIN_R6 ", "                                                                                    \
           "%48, %49, %50, %51, %52, %53, %54, %55"
#define LEVIN_R8                                                                                   \
  LEVIN_R7 ", "                                                                                    \
           "%56, %57, %58, %59, %60, %61, %62, %63"
#define LEVIN_R9                                                                                   \
  LEVIN_R8 ", "                                                                                    \
           "%64, %65, %66, %67, %68, %69, %70, %71"
#define LEVIN_R10                                                                                  \
  LEVIN_R9 ", "                                                                                    \
           "%72, %73, %74, %75, %76, %77, %78, %79"
#define LEVIN_R11                                                                                  \
  LEVIN_R10 ", "                                                                                   \
            "%80, %81, %82, %83, %84, %85, %86, %87"
#define LEVIN_R12                                                                                  \
  LEVIN_R11 ", "                                                                                   \
            "%88, %89, %90, %91, %92, %93, %94, %95"
#define LEVIN_R13                                                                                  \
  LEVIN_R12 ", "                                                                                   \
            "%96, %97, %98, %99, %100, %101, %102, %103"
#define LEVIN_R14                                                                                  \
  LEVIN_R13 ", "                                                                                   \
            "%104, %105, %106, %107, %108, %109, %110, %111"
#define LEVIN_R15                                                                                  \
  LEVIN_R14 ", "                                                                                   \
            "%112, %113, %114, %115, %116, %117, %118, %119"
#define LEVIN_R16                                                                                  \
  LEVIN_R15 ", "                                                                                   \
            "%120, %121, %122, %123, %124, %125, %126, %127"
#define LEVIN_D1 LEVIN_V8(0)
#define LEVIN_D2 LEVIN_D1, LEVIN_V8(8)
#define LEVIN_D3 LEVIN_D2, LEVIN_V8(16)
#define LEVIN_D4 LEVIN_D3, LEVIN_V8(24)
#define LEVIN_D5 LEVIN_D4, LEVIN_V8(32)
#define LEVIN_D6 LEVIN_D5, LEVIN_V8(40)
#define LEVIN_D7 LEVIN_D6, LEVIN_V8(48)
#define LEVIN_D8 LEVIN_D7, LEVIN_V8(56)
#define LEVIN_D9 LEVIN_D8, LEVIN_V8(64)
#define LEVIN_D10 LEVIN_D9, LEVIN_V8(72)
#define LEVIN_D11 LEVIN_D10, LEVIN_V8(80)
#define LEVIN_D12 LEVIN_D11, LEVIN_V8(88)
#define LEVIN_D13 LEVIN_D12, LEVIN_V8(96)
#define LEVIN_D14 LEVIN_D13, LEVIN_V8(104)
#define LEVIN_D15 LEVIN_D14, LEVIN_V8(112)
#define LEVIN_D16 LEVIN_D15, LEVIN_V8(120)

#define LEVIN_WGMMA(N, REGISTERS, VALUES, P0, P1, P2, P3, P4, P5, P6)                              \
  template <> struct Wgmma<N> {                                                                    \
    template <int TransposeA, int TransposeB>                                                      \
    static __device__ __forceinline__ void shared(float (&d)[N / 2], uint64_t a, uint64_t b,       \
                                                  int accumulate) {                                \
      asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " P2 ", 0;\n"                                 \
                   "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" REGISTERS "}, " P0 \
                   ", " P1 ", p, 1, 1, " P3 ", " P4 ";\n}"                                         \
                   : VALUES                                                                        \
                   : "l"(a), "l"(b), "r"(accumulate), "n"(TransposeA), "n"(TransposeB));           \
    }                                                                                              \
    template <int TransposeB>                                                                      \
    static __device__ __forceinline__ void registers(float (&d)[N / 2], const uint32_t (&a)[4],    \
                                                     uint64_t b, int accumulate) {                 \
      asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " P5 ", 0;\n"                                 \
                   "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" REGISTERS          \
                   "}, {" P0 ", " P1 ", " P2 ", " P3 "}, " P4 ", p, 1, 1, " P6 ";\n}"              \
                   : VALUES                                                                        \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate),          \
                     "n"(TransposeB));                                                             \
    }                                                                                              \
  };
LEVIN_WGMMA(8, "%0, %1, %2, %3", LEVIN_V4(0), "%4", "%5", "%6", "%7", "%8", "%9", "%10")
LEVIN_WGMMA(16, LEVIN_R1, LEVIN_D1, "%8", "%9", "%10", "%11", "%12", "%13", "%14")
LEVIN_WGMMA(32, LEVIN_R2, LEVIN_D2, "%16", "%17", "%18", "%19", "%20", "%21", "%22")
LEVIN_WGMMA(48, LEVIN_R3, LEVIN_D3, "%24", "%25", "%26", "%27", "%28", "%29", "%30")
LEVIN_WGMMA(64, LEVIN_R4, LEVIN_D4, "%32", "%33", "%34", "%35", "%36", "%37", "%38")
LEVIN_WGMMA(80, LEVIN_R5, LEVIN_D5, "%40", "%41", "%42", "%43", "%44", "%45", "%46")
LEVIN_WGMMA(96, LEVIN_R6, LEVIN_D6, "%48", "%49", "%50", "%51", "%52", "%53", "%54")
LEVIN_WGMMA(112, LEVIN_R7, LEVIN_D7, "%56", "%57", "%58", "%59", "%60", "%61", "%62")
LEVIN_WGMMA(128, LEVIN_R8, LEVIN_D8, "%64", "%65", "%66", "%67", "%68", "%69", "%70")
LEVIN_WGMMA(144, LEVIN_R9, LEVIN_D9, "%72", "%73", "%74", "%75", "%76", "%77", "%78")
LEVIN_WGMMA(160, LEVIN_R10, LEVIN_D10, "%80", "%81", "%82", "%83", "%84", "%85", "%86")
LEVIN_WGMMA(176, LEVIN_R11, LEVIN_D11, "%88", "%89", "%90", "%91", "%92", "%93", "%94")
LEVIN_WGMMA(192, LEVIN_R12, LEVIN_D12, "%96", "%97", "%98", "%99", "%100", "%101", "%102")
LEVIN_WGMMA(208, LEVIN_R13, LEVIN_D13, "%104", "%105", "%106", "%107", "%108", "%109", "%110")
LEVIN_WGMMA(224, LEVIN_R14, LEVIN_D14, "%112", "%113", "%114", "%115", "%116", "%117", "%118")
LEVIN_WGMMA(240, LEVIN_R15, LEVIN_D15, "%120", "%121", "%122", "%123", "%124", "%125", "%126")
LEVIN_WGMMA(256, LEVIN_R16, LEVIN_D16, "%128", "%129", "%130", "%131", "%132", "%133", "%134")
#undef LEVIN_R1
#undef LEVIN_D1
#undef LEVIN_R2
#undef LEVIN_D2
#undef LEVIN_R3
#undef LEVIN_D3
#undef LEVIN_R4
#undef LEVIN_D4
#undef LEVIN_R5
#undef LEVIN_D5
#undef LEVIN_R6
#undef LEVIN_D6
#undef LEVIN_R7
#undef LEVIN_D7
#undef LEVIN_R8
#undef LEVIN_D8
#undef LEVIN_R9
#undef LEVIN_D9
#undef LEVIN_R10
#undef LEVIN_D10
#undef LEVIN_R11
#undef LEVIN_D11
#undef LEVIN_R12
#undef LEVIN_D12
#undef LEVIN_R13
#undef LEVIN_D13
#undef LEVIN_R14
#undef LEVIN_D14
#undef LEVIN_R15
#undef LEVIN_D15
#undef LEVIN_R16
#undef LEVIN_D16
#undef LEVIN_V4
#undef LEVIN_V8
#undef LEVIN_WGMMA

/// See Wgmma: both operands from shared memory.  N is 8 or a multiple of 16 up to 256.
template <int N, int TransposeA = 0, int TransposeB = 0>
__device__ __forceinline__ void wgmma(float (&d)[N / 2], uint64_t a, uint64_t b, bool accumulate) {
  Wgmma<N>::template shared<TransposeA, TransposeB>(d, a, b, accumulate);
}
/// See Wgmma: A from registers.
template <int N, int TransposeB = 0>
__device__ __forceinline__ void wgmma(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b,
                                      bool accumulate) {
  Wgmma<N>::template registers<TransposeB>(d, a, b, accumulate);
}

} // namespace levin::kernels::sm90

#endif // LEVIN_CODEGEN_CUDA_KERNELS_SM90_CUH
