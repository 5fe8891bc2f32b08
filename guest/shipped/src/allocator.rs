//! Where the component's memory comes from: a part of its own at first, and then the system.
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

/// Bytes that are there from the start. Most requests need no more, and to ask for more costs two calls into the system:
/// one as memory grows, one as it is taken back. What is not touched costs nothing.
const OWN: usize = 256 << 10;

/// Bytes of a page, and pages that memory grows by at least.
const PAGE: usize = 64 << 10;
const PAGES: usize = 4;

/// Bytes that a heap needs besides what is asked for, at most.
const OVERHEAD: usize = 256;

static mut HEAP: [MaybeUninit<u8>; OWN] = [MaybeUninit::uninit(); OWN];

/// A reply is many small texts, made and freed in turns: that is cheaper here than with the standard library's allocator.
#[global_allocator]
static ALLOCATOR: TalcSyncCell<Memory, WasmBinning> = TalcSyncCell::new_wasm(Memory::New);

/// How far memory has been claimed.
#[derive(Debug)]
enum Memory {
    /// Nothing yet.
    New,
    /// Our own.
    Own,
    /// Of the system's, up to here.
    Grown(NonNull<u8>),
}

// SAFETY: It allocates nothing itself.
unsafe impl Source for Memory {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        if let Memory::New = talc.source {
            talc.source = Memory::Own;
            // SAFETY: It is claimed once, and nobody else knows of it.
            let claimed = unsafe { talc.claim((&raw mut HEAP).cast(), OWN) };
            return claimed.map(|_| ()).ok_or(());
        }
        let wanted = layout.size() + layout.align() + OVERHEAD;
        let needed = wanted.div_ceil(PAGE);
        // Where there is no room for more, for just as much.
        let grown = [needed.max(PAGES), needed].into_iter().find_map(|pages| {
            let before = memory_grow::<0>(pages);
            (before != usize::MAX).then_some((before, pages))
        });
        let (before, pages) = grown.ok_or(())?;
        let base = (before * PAGE) as *mut u8;
        // SAFETY: The pages are new, and extend what was claimed before if that ends where they begin.
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
