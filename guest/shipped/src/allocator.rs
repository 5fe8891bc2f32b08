//! The component's allocator: it starts with a static heap and then grows linear memory.
#![allow(unsafe_code, reason = "an allocator claims raw memory")]

use core::arch::wasm32::memory_grow;
use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

/// Bytes of the static heap. Most requests need no more; growing costs two system calls, one as memory grows and one
/// as it is returned. Pages that are not touched cost nothing.
const OWN: usize = 256 << 10;

/// Bytes of a page, and the fewest pages by which memory grows.
const PAGE: usize = 64 << 10;
const PAGES: usize = 4;

/// The most bytes that the allocator needs besides the requested ones.
const OVERHEAD: usize = 256;

static mut HEAP: [MaybeUninit<u8>; OWN] = [MaybeUninit::uninit(); OWN];

/// A reply allocates and frees many small strings, for which this is faster than the standard library's allocator.
#[global_allocator]
static ALLOCATOR: TalcSyncCell<Memory, WasmBinning> = TalcSyncCell::new_wasm(Memory::New);

/// The memory that the allocator has claimed.
#[derive(Debug)]
enum Memory {
    /// None yet.
    New,
    /// The static heap.
    Own,
    /// Linear memory, up to this address.
    Grown(NonNull<u8>),
}

// SAFETY: `acquire` allocates nothing.
unsafe impl Source for Memory {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        if let Memory::New = talc.source {
            talc.source = Memory::Own;
            // SAFETY: The static heap is claimed once, and nothing else refers to it.
            let claimed = unsafe { talc.claim((&raw mut HEAP).cast(), OWN) };
            return claimed.map(|_| ()).ok_or(());
        }
        let wanted = layout.size() + layout.align() + OVERHEAD;
        let needed = wanted.div_ceil(PAGE);
        // If memory cannot grow by that many pages, it grows by the needed ones.
        let grown = [needed.max(PAGES), needed].into_iter().find_map(|pages| {
            let before = memory_grow::<0>(pages);
            (before != usize::MAX).then_some((before, pages))
        });
        let (before, pages) = grown.ok_or(())?;
        let base = (before * PAGE) as *mut u8;
        // SAFETY: The pages are new, and are adjacent to the claimed memory where they extend it.
        let end = unsafe {
            match talc.source {
                Memory::Grown(end) if end.as_ptr() == base => {
                    Some(talc.extend(end, base.wrapping_add(pages * PAGE)))
                }
                _ => talc.claim(base, pages * PAGE),
            }
        };
        talc.source = Memory::Grown(end.ok_or(())?);
        Ok(())
    }
}
