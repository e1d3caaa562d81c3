//! The machine that code is generated for, and the way from Cranelift functions to executable memory.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, FuncRef, Function, Signature, UserExternalName, UserFuncName,
};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{CodegenResult, CompiledCode, Context, FinalizedRelocTarget, ir};
use cranelift_frontend::FunctionBuilder;

use crate::code::Code;
use crate::conditions;
use crate::detour;
use crate::error::CompileError;
use crate::helpers::Helper;
use crate::layout;
use crate::memory::ExecutableMemory;
use crate::placement;
use crate::tidy;

/// The name space of helpers, by their place in [`Helper::ALL`].
const HELPERS: u32 = 0;
/// The name space of the functions that are compiled together.
const FUNCTIONS: u32 = 1;
/// The name space of the [detours](crate::detour) to helpers, by these places, too.
const DETOURS: u32 = 2;
/// The most stack that a function may take: a part of what threads have by default. Deeper frames touch each page on the way down, so
/// that none reaches over a guard page.
const MOST_FRAME_BYTES: u32 = 768 << 10;

/// How much is done for fast code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Everything. What that takes grows faster than the code, and a stranger's filter may be large.
    Full,
    /// As good as nothing: the time is in proportion to the code.
    Quick,
}

/// The machine that this runs on, for code that everything is done for.
pub(crate) fn isa() -> Result<OwnedTargetIsa, CompileError> {
    isa_with(Effort::Full)
}

/// The machine that this runs on.
pub(crate) fn isa_with(effort: Effort) -> Result<OwnedTargetIsa, CompileError> {
    let wrong = |reason: String| CompileError::Host { reason };
    if cfg!(target_endian = "big") {
        // Keys are put together in registers, first part lowest.
        return Err(wrong("it is big-endian".to_owned()));
    }
    let mut flags = settings::builder();
    let (level, registers) = match effort {
        Effort::Full => ("speed", "backtracking"),
        Effort::Quick => ("none", "single_pass"),
    };
    let options = [
        ("opt_level", level),
        ("regalloc_algorithm", registers),
        ("is_pic", "false"),
        ("enable_probestack", "true"),
        ("probestack_strategy", "inline"),
        ("unwind_info", "false"),
        // For the address of the packet ([`burst`](crate::burst)).
        ("enable_pinned_reg", "true"),
        // For [`placement`].
        ("machine_code_cfg_info", "true"),
        // It finds defects of ours, not of filters: all tests run with it. A switch that loads a filter need not wait for it.
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
    ];
    for (name, value) in options {
        flags.set(name, value).map_err(|error| wrong(error.to_string()))?;
    }
    let builder = cranelift_native::builder().map_err(|reason| wrong(reason.to_owned()))?;
    builder.finish(settings::Flags::new(flags)).map_err(|error| wrong(error.to_string()))
}

/// The signature of [`Entry`](crate::abi::Entry).
pub(crate) fn entry_signature(convention: CallConv) -> Signature {
    let mut signature = Signature::new(convention);
    let [long, int] = [ir::types::I64, ir::types::I32].map(AbiParam::new);
    signature.params = vec![long, long, long, long, long, int];
    signature
}

/// An empty function, by its place among those that are compiled together.
pub(crate) fn function(index: usize, signature: Signature) -> Function {
    Function::with_name_signature(UserFuncName::user(FUNCTIONS, index as u32), signature)
}

/// Declares a helper in a function.
pub(crate) fn import_helper(
    builder: &mut FunctionBuilder<'_>,
    helper: Helper,
    convention: CallConv,
) -> FuncRef {
    let signature = helper.signature(convention);
    import(builder, UserExternalName::new(HELPERS, helper.place()), signature, false)
}

/// Declares the detour to a helper in a function.
pub(crate) fn import_detour(builder: &mut FunctionBuilder<'_>, helper: Helper) -> FuncRef {
    import(builder, UserExternalName::new(DETOURS, helper.place()), detour::signature(helper), true)
}

/// Declares a function that is compiled together with this one.
pub(crate) fn import_function(
    builder: &mut FunctionBuilder<'_>,
    index: usize,
    signature: Signature,
) -> FuncRef {
    import(builder, UserExternalName::new(FUNCTIONS, index as u32), signature, true)
}

fn import(
    builder: &mut FunctionBuilder<'_>,
    name: UserExternalName,
    signature: Signature,
    colocated: bool,
) -> FuncRef {
    let name = ExternalName::user(builder.func.declare_imported_user_function(name));
    if let Some((declared, _)) = builder.func.dfg.ext_funcs.iter().find(|(_, data)| data.name == name) {
        return declared;
    }
    let signature = builder.import_signature(signature);
    builder.import_function(ExtFuncData { name, signature, colocated, patchable: false })
}

/// Does all of a compilation. A panic in it comes back as an error: a defect, of ours or of Cranelift, must not take down a switch that loads a stranger's
/// filter. The compilation changes nothing that outlives it, so whatever it left half done is dropped.
pub(crate) fn contained<T>(compilation: impl FnOnce() -> Result<T, CompileError>) -> Result<T, CompileError> {
    catch_unwind(AssertUnwindSafe(compilation)).unwrap_or_else(|panic| {
        Err(failed(format!("a defect of the compiler, which panicked: {}", message(&*panic))))
    })
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(message), _) => message,
        (None, Some(message)) => message,
        (None, None) => "(nothing)",
    }
}

/// Compiles functions, the first of which has the signature of an entry, and the detours that they take, and puts them into memory of their own.
pub(crate) fn finish(isa: &dyn TargetIsa, functions: Vec<Function>) -> Result<Code, CompileError> {
    let blobs = compile(isa, functions)?;
    let mut starts = Vec::new();
    let mut len = 0_usize;
    for blob in &blobs {
        len = len.next_multiple_of(placement::LINE) + blob.offset;
        starts.push(len);
        len += blob.bytes.len();
    }
    let memory = ExecutableMemory::new(len, |memory, base| {
        for (blob, &start) in blobs.iter().zip(&starts) {
            let code = &mut memory[start..start + blob.bytes.len()];
            code.copy_from_slice(&blob.bytes);
            for patch in &blob.patches {
                let target = match patch.target {
                    Target::Helper(helper) => helper.address(),
                    Target::Function(index) => base + starts[index],
                    Target::Detour(_) => {
                        return Err(Failure::Patch(failed("a detour is missing".to_owned())));
                    }
                };
                patch.apply(code, base + start, target)?;
            }
        }
        Ok::<(), Failure>(())
    });
    let memory = memory.map_err(|failure| match failure {
        Failure::Memory(source) => CompileError::Memory { bytes: len, source },
        Failure::Patch(error) => error,
    })?;
    // SAFETY: the first function was given the signature of an entry.
    Ok(unsafe { Code::new(memory, len, starts) })
}

enum Failure {
    Memory(std::io::Error),
    Patch(CompileError),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Memory(error)
    }
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Self {
        Failure::Patch(error)
    }
}

fn failed(reason: String) -> CompileError {
    CompileError::Codegen { reason }
}

/// Machine code of one function.
struct Blob {
    bytes: Vec<u8>,
    /// Where in a line it begins.
    offset: usize,
    patches: Vec<Patch>,
}

/// An address to be filled in.
struct Patch {
    offset: usize,
    kind: Reloc,
    target: Target,
    addend: i64,
}

#[derive(Clone, Copy)]
enum Target {
    Helper(Helper),
    Function(usize),
    Detour(Helper),
}

/// The functions' code in their order, and behind it that of the detours.
fn compile(isa: &dyn TargetIsa, functions: Vec<Function>) -> Result<Vec<Blob>, CompileError> {
    let mut blobs = compile_all(isa, functions)?;
    let mut detours: Vec<Helper> = Vec::new();
    let first = blobs.len();
    for patch in blobs.iter_mut().flat_map(|blob| &mut blob.patches) {
        if let Target::Detour(helper) = patch.target {
            let known = detours.iter().position(|&known| known == helper);
            let place = known.unwrap_or_else(|| {
                detours.push(helper);
                detours.len() - 1
            });
            patch.target = Target::Function(first + place);
        }
    }
    let detours = detours.into_iter().enumerate();
    let detours = detours.map(|(place, helper)| detour::function(isa, first + place, helper)).collect();
    blobs.extend(compile_all(isa, detours)?);
    Ok(blobs)
}

fn compile_all(isa: &dyn TargetIsa, functions: Vec<Function>) -> Result<Vec<Blob>, CompileError> {
    let count = functions.len();
    let mut blobs = Vec::with_capacity(count);
    for mut function in functions {
        tidy::remove_unused(&mut function);
        tidy::empty_unused_slots(&mut function);
        let mut context = Context::for_function(function);
        let compiled = compile_one(isa, &mut context).map_err(|error| failed(format!("{error:?}")))?;
        let frame = compiled.buffer.frame_layout().map_or(0, |layout| layout.frame_to_fp_offset);
        if frame > MOST_FRAME_BYTES {
            return Err(failed(format!("it takes {frame} bytes of stack, the limit is {MOST_FRAME_BYTES}")));
        }
        let (bytes, offset) = (compiled.code_buffer().to_vec(), placement::offset(&compiled));
        let relocs: Vec<_> = compiled
            .buffer
            .relocs()
            .iter()
            .map(|reloc| (reloc.offset as usize, reloc.kind, reloc.addend, reloc.target.clone()))
            .collect();
        let patches = relocs
            .into_iter()
            .map(|(offset, kind, addend, target)| {
                let target = target_of(&context.func, &target, count)?;
                Ok(Patch { offset, kind, target, addend })
            })
            .collect::<Result<_, CompileError>>()?;
        blobs.push(Blob { bytes, offset, patches });
    }
    Ok(blobs)
}

/// As [`Context::compile`], with what is to be done between its two halves.
fn compile_one(isa: &dyn TargetIsa, context: &mut Context) -> CodegenResult<CompiledCode> {
    let control = &mut ControlPlane::default();
    context.optimize(isa, control)?;
    tidy::compare_what_is_handed_on(&mut context.func);
    tidy::add_to_what_was_handed_over(&mut context.func);
    if conditions::split(&mut context.func) {
        context.flowgraph();
    }
    tidy::compute_where_needed(&mut context.func);
    layout::order(context);
    context.verify_if(isa)?;
    let stencil =
        isa.compile_function(&context.func, &context.domtree, &mut Default::default(), false, control)?;
    Ok(stencil.apply_params(&context.func.params))
}

fn target_of(
    function: &Function,
    target: &FinalizedRelocTarget,
    functions: usize,
) -> Result<Target, CompileError> {
    let name = match target {
        FinalizedRelocTarget::ExternalName(ExternalName::User(name)) => {
            function.params.user_named_funcs().get(*name).cloned()
        }
        _ => None,
    };
    let found = match name {
        Some(UserExternalName { namespace: HELPERS, index }) => {
            Helper::ALL.get(index as usize).copied().map(Target::Helper)
        }
        Some(UserExternalName { namespace: DETOURS, index }) => {
            Helper::ALL.get(index as usize).copied().map(Target::Detour)
        }
        Some(UserExternalName { namespace: FUNCTIONS, index }) if (index as usize) < functions => {
            Some(Target::Function(index as usize))
        }
        _ => None,
    };
    found.ok_or_else(|| failed(format!("a reference to {target:?}, which there is not")))
}

impl Patch {
    /// Writes the address of `target` into code that will run at `base`.
    fn apply(&self, code: &mut [u8], base: usize, target: usize) -> Result<(), CompileError> {
        let outside = || failed(format!("{:?} at {} lies outside of the code", self.kind, self.offset));
        let target = (target as i64).wrapping_add(self.addend);
        let relative = target.wrapping_sub((base + self.offset) as i64);
        let far = || failed(format!("{:?} cannot reach {relative:#x}", self.kind));
        match self.kind {
            Reloc::Abs8 => {
                let bytes = code.get_mut(self.offset..self.offset + 8).ok_or_else(outside)?;
                bytes.copy_from_slice(&target.to_le_bytes());
            }
            Reloc::X86PCRel4 | Reloc::X86CallPCRel4 => {
                let bytes = code.get_mut(self.offset..self.offset + 4).ok_or_else(outside)?;
                bytes.copy_from_slice(&i32::try_from(relative).map_err(|_| far())?.to_le_bytes());
            }
            Reloc::Arm64Call => {
                let bytes = code.get_mut(self.offset..self.offset + 4).ok_or_else(outside)?;
                let words =
                    i32::try_from(relative >> 2).ok().filter(|words| (-(1 << 25)..1 << 25).contains(words));
                let words = words.ok_or_else(far)?.cast_unsigned() & 0x03ff_ffff;
                let insn = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                bytes.copy_from_slice(&((insn & 0xfc00_0000) | words).to_le_bytes());
            }
            kind => return Err(failed(format!("relocation {kind:?} is not known"))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use cranelift_codegen::ir::InstBuilder;
    use cranelift_frontend::FunctionBuilderContext;

    use super::*;

    /// A function that only returns; `defect` panics while it is half built.
    fn code(defect: impl FnOnce()) -> Result<Code, CompileError> {
        contained(|| {
            let isa = isa()?;
            let mut function = function(0, entry_signature(isa.default_call_conv()));
            let mut context = FunctionBuilderContext::new();
            let mut builder = FunctionBuilder::new(&mut function, &mut context);
            let block = builder.create_block();
            builder.append_block_params_for_function_params(block);
            builder.switch_to_block(block);
            defect();
            builder.ins().return_(&[]);
            builder.seal_all_blocks();
            builder.finalize(isa.frontend_config());
            finish(&*isa, vec![function])
        })
    }

    #[test]
    fn a_panic_is_an_error_that_says_what_it_said() {
        let error = code(|| panic!("no block {}", 7)).unwrap_err().to_string();
        assert_eq!(error, "code generation failed: a defect of the compiler, which panicked: no block 7");
        let error = code(|| panic!("nowhere")).unwrap_err().to_string();
        assert!(error.ends_with("panicked: nowhere"), "{error}");
        assert!(code(|| {}).unwrap().bytes() > 0);
    }
}
