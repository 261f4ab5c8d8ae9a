#ifndef LEVIN_EXEC_EXECDIALECT_TD
#define LEVIN_EXEC_EXECDIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/DialectBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Exec_Dialect : Dialect {
  let name = "exec";
  let summary = "The program: kernels, memory and the order of commands.";
  let description = [{
    Kernels are functions of a module `@kernels`.  While values are still
    tensors, `exec.dispatch` calls one.  Once memory is planned, an
    `exec.program` holds arenas, slices of them, and commands; each op of a
    program is one record of the artifact.
  }];
  let cppNamespace = "::levin::exec";
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
}

// The memory of a program: commands read and write it in program order.
def Exec_MemoryResource : Resource<"::levin::exec::MemoryResource">;
def Exec_Command
    : MemoryEffects<[MemRead<Exec_MemoryResource>, MemWrite<Exec_MemoryResource>]>;

def Exec_ArenaKind : I32Enum<"ArenaKind", "What lives in an arena.", [
    I32EnumCase<"Parameters", 1, "parameters">, I32EnumCase<"State", 2, "state">,
    I32EnumCase<"Workspace", 3, "workspace">]> {
  let cppNamespace = "::levin::exec";
}
def Exec_ArenaKindAttr : EnumAttr<Exec_Dialect, Exec_ArenaKind, "arena_kind"> {
  let summary = "What lives in an arena.";
  let description = [{
    Parameters are never written, state lives as long as a session, workspace as
    long as one step.

    ```mlir
    exec.program @p {
      %a = exec.arena workspace [4096]
    }
    ```
  }];
  let assemblyFormat = "$value";
}

def Exec_BindKind : I32Enum<"BindKind", "How a caller uses a binding.", [
    I32EnumCase<"Input", 0, "input">, I32EnumCase<"Output", 1, "output">,
    I32EnumCase<"State", 2, "state">]> {
  let cppNamespace = "::levin::exec";
}
def Exec_BindKindAttr : EnumAttr<Exec_Dialect, Exec_BindKind, "bind_kind"> {
  let summary = "How a caller uses a binding.";
  let description = [{
    Inputs are written before a run, outputs read after it; state stays.

    ```mlir
    exec.program @p {
      %a = exec.arena workspace [4096]
      %s = exec.slice %a [0, 64] live [0, 0]
      exec.bind input "x" %s : tensor<16xf32>
    }
    ```
  }];
  let assemblyFormat = "$value";
}

class Exec_Type<string cppName, string typeMnemonic> : TypeDef<Exec_Dialect, cppName> {
  let mnemonic = typeMnemonic;
}
def Exec_ArenaType : Exec_Type<"Arena", "arena"> {
  let summary = "A block of memory allocated once.";
  let description = [{
    ```mlir
    !exec.arena
    ```
  }];
}
def Exec_SliceType : Exec_Type<"Slice", "slice"> {
  let summary = "Bytes of an arena.";
  let description = [{
    ```mlir
    !exec.slice
    ```
  }];
}

#endif
