//! Asking for memory before it is read.
//!
//! A read that is made for its effect on the caches alone does much of the same, but keeps its place among the
//! instructions in flight until the memory has come, and so holds up those behind it. A hint does not. It costs the one
//! `unsafe` word of the library: it reads nothing, and no address makes it fail.
//!
//! May use: nothing. Never: a change of what any code computes.

/// Hints that what stands at this place will be read soon. On processors without such a hint, or whose hint is not
/// known here, nothing happens.
#[inline(always)]
pub(super) fn prefetch<T>(place: &T) {
    prefetch_address(std::ptr::from_ref(place).addr());
}

/// Hints that what stands at this address will be read soon, if anything does.
#[inline(always)]
#[allow(unsafe_code, reason = "the processor's hint has no safe name in the standard library")]
pub(super) fn prefetch_address(address: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction belongs to every x86-64 processor. It is a hint, which changes no memory and no register,
    // and may be given for any address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
