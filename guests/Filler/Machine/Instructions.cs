using System.Runtime;
using System.Runtime.CompilerServices;

namespace Quietus.Filler.Machine;

/// <summary>The instructions that C# cannot say: each is a leaf function in Boot/Instructions.S.</summary>
/// <remarks>
/// Invariant: a caller that passes an address owns the memory there, or has said that an exception may come
/// (<see cref="Exceptions.Expect"/>).
/// </remarks>
internal static unsafe class Instructions
{
    [RuntimeImport("*", "read_mpidr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadMpidr();

    [RuntimeImport("*", "read_ctr"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadCtr();

    /// <summary>CNTVCT_EL0, after an ISB.</summary>
    [RuntimeImport("*", "read_counter"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadCounter();

    [RuntimeImport("*", "read_counter_frequency"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadCounterFrequency();

    [RuntimeImport("*", "read_virtual_timer_control"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadVirtualTimerControl();

    [RuntimeImport("*", "write_virtual_timer_control"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteVirtualTimerControl(ulong value);

    [RuntimeImport("*", "write_virtual_timer_deadline"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteVirtualTimerDeadline(ulong value);

    [RuntimeImport("*", "read_virtual_timer_deadline"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadVirtualTimerDeadline();

    /// <summary>CNTPCT_EL0, between two ISBs.</summary>
    [RuntimeImport("*", "read_physical_counter"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadPhysicalCounter();

    [RuntimeImport("*", "read_physical_timer_control"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadPhysicalTimerControl();

    [RuntimeImport("*", "write_physical_timer_control"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WritePhysicalTimerControl(ulong value);

    [RuntimeImport("*", "write_physical_timer_deadline"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WritePhysicalTimerDeadline(ulong value);

    /// <summary>ICC_BPR1_EL1.</summary>
    [RuntimeImport("*", "read_binary_point"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadBinaryPoint();

    [RuntimeImport("*", "write_binary_point"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteBinaryPoint(ulong value);

    [RuntimeImport("*", "read_interrupt_acknowledge"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadInterruptAcknowledge();

    [RuntimeImport("*", "write_interrupt_end"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteInterruptEnd(ulong value);

    /// <summary>ICC_SGI1R_EL1.</summary>
    [RuntimeImport("*", "write_software_interrupt"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WriteSoftwareInterrupt(ulong value);

    [RuntimeImport("*", "enable_interrupt_interface"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void EnableInterruptInterface();

    [RuntimeImport("*", "unmask_interrupts"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void UnmaskInterrupts();

    [RuntimeImport("*", "mask_interrupts"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void MaskInterrupts();

    /// <summary>DSB SY; WFI. A pending interrupt, masked or not, ends the wait.</summary>
    [RuntimeImport("*", "wait_for_interrupt"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void WaitForInterrupt();

    /// <summary>
    /// YIELD: this core only waits for another. An emulator that runs one core after the other goes on to that one.
    /// </summary>
    [RuntimeImport("*", "yield_to_others"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Yield();

    /// <summary>SEVL; WFE: falls through.</summary>
    [RuntimeImport("*", "pass_wait_for_event"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void PassWaitForEvent();

    /// <summary>DSB SY; ISB.</summary>
    [RuntimeImport("*", "synchronize"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Synchronize();

    [RuntimeImport("*", "hypervisor_call"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong HypervisorCall(ulong function, ulong a, ulong b, ulong c);

    [RuntimeImport("*", "secure_call"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong SecureCall(ulong function, ulong a, ulong b, ulong c);

    /// <summary>HVC #0 with X0 to X3 from and to memory; 0 when every other register came back as it was.</summary>
    [RuntimeImport("*", "hypervisor_call_checked"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong HypervisorCallChecked(ulong* registers);

    /// <summary>The loop around what is measured.</summary>
    [RuntimeImport("*", "loop_empty"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void LoopEmpty(ulong count, ulong start, ulong stride);

    /// <summary>Stores zero at each address.</summary>
    [RuntimeImport("*", "loop_store"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void LoopStore(ulong count, ulong start, ulong stride);

    /// <summary>Calls one function again and again.</summary>
    [RuntimeImport("*", "loop_hypervisor_call"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void LoopHypervisorCall(ulong count, ulong function);

    /// <summary>All words of a 4 KB page, OR-ed.</summary>
    [RuntimeImport("*", "page_or"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong PageOr(ulong page);

    /// <summary>Stores a value in each 64-byte line of a 4 KB page.</summary>
    [RuntimeImport("*", "page_set_lines"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void PageSetLines(ulong page, ulong value);

    [RuntimeImport("*", "load_8"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong Load8(ulong address);

    [RuntimeImport("*", "load_16"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong Load16(ulong address);

    [RuntimeImport("*", "load_32"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong Load32(ulong address);

    [RuntimeImport("*", "load_64"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong Load64(ulong address);

    [RuntimeImport("*", "store_8"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Store8(ulong address, ulong value);

    [RuntimeImport("*", "store_16"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Store16(ulong address, ulong value);

    [RuntimeImport("*", "store_32"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Store32(ulong address, ulong value);

    [RuntimeImport("*", "store_64"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Store64(ulong address, ulong value);

    /// <summary>Jumps to any address, as to a function of one argument.</summary>
    [RuntimeImport("*", "call"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong Call(ulong code, ulong argument);

    [RuntimeImport("*", "clean_invalidate_line"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void CleanInvalidateLineToPoC(ulong address);

    /// <summary>DC CVAU, IC IVAU and the barriers between (DDI 0487 B2.4.4).</summary>
    [RuntimeImport("*", "synchronize_code_line"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void SynchronizeCodeLine(ulong address);

    [RuntimeImport("*", "clean_invalidate_set_way"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void CleanInvalidateSetWay(ulong operand);

    [RuntimeImport("*", "clean_set_way"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void CleanSetWay(ulong operand);

    [RuntimeImport("*", "invalidate_set_way"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void InvalidateSetWay(ulong operand);

    /// <summary>
    /// Marks every vector register, leaves for the hypervisor in four ways, and returns 0 when all is as it was.
    /// </summary>
    [RuntimeImport("*", "vectors_over_exits"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong VectorsOverExits(ulong device, ulong page);

    /// <summary>What the vector registers, FPCR and FPSR held, OR-ed, as each core began.</summary>
    [RuntimeImport("*", "address_of_first_vectors"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong* FirstVectors();

    /// <summary>CCSIDR_EL1 of the cache that a CSSELR_EL1 value selects.</summary>
    [RuntimeImport("*", "read_cache_size"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong ReadCacheSize(ulong selector);

    /// <summary>TLBI VMALLE1IS with its barriers.</summary>
    [RuntimeImport("*", "invalidate_translations"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void InvalidateTranslations();

    /// <summary>Stores with MMU and caches off.</summary>
    [RuntimeImport("*", "uncached_store"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void UncachedStore(ulong address, ulong value);

    /// <summary>Loads with MMU and caches off.</summary>
    [RuntimeImport("*", "uncached_load"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong UncachedLoad(ulong address);

    /// <summary>Loads a device's word as big-endian, with MMU and caches off.</summary>
    [RuntimeImport("*", "big_endian_load"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong BigEndianLoad(ulong address);

    /// <summary>ERET; the exception handler comes back by the address in <paramref name="resume"/>.</summary>
    [RuntimeImport("*", "enter_state"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void EnterState(ulong address, ulong state, ulong* resume);

    /// <summary>Jumps to where nothing is, MMU off and vectors there as well.</summary>
    [RuntimeImport("*", "crash"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Crash(ulong address);

    /// <summary>WFI for ever, interrupts masked.</summary>
    [RuntimeImport("*", "halt"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void Halt();

    [RuntimeImport("*", "address_of_gigabyte_table"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong* GigabyteTable();

    [RuntimeImport("*", "address_of_code_page"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern uint* CodePage();

    [RuntimeImport("*", "address_of_secondary_start"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern ulong SecondaryStart();

    [RuntimeImport("*", "address_of_hidden_fields"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern uint* HiddenFields();

    [RuntimeImport("*", "address_of_hidden_instructions"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern uint* HiddenInstructions();

    [RuntimeImport("*", "address_of_odd_accesses"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern uint* OddAccesses();

    [RuntimeImport("*", "address_of_atomic_accesses"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern uint* AtomicAccesses();

    [RuntimeImport("*", "address_of_walked_accesses"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern uint* WalkedAccesses();

    [RuntimeImport("*", "address_of_user_program"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern uint* UserProgram();
}
