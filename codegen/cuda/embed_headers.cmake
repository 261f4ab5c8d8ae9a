# cmake -DOUTPUT=file -DFOLDER=folder -P embed_headers.cmake: the headers of `folder` as C++.
file(GLOB headers ${FOLDER}/*.cuh)
list(SORT headers)
set(entries)
foreach(header ${headers})
  get_filename_component(name ${header} NAME)
  file(READ ${header} text)
  string(APPEND entries "    {\"${name}\", R\"cuh(${text})cuh\"},\n")
endforeach()
file(WRITE ${OUTPUT}.new "#include \"codegen/cuda/KernelHeaders.h\"

namespace levin::cuda {

llvm::ArrayRef<KernelHeader> kernelHeaders() {
  static const KernelHeader headers[] = {
${entries}  };
  return headers;
}

} // namespace levin::cuda
")
file(RENAME ${OUTPUT}.new ${OUTPUT})
