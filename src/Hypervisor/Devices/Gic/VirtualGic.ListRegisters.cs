using System;
using System.Numerics;

namespace Quietus.Hypervisor.Devices;

/// <summary>How interrupts go into list registers before the guest runs, and come back afterwards.</summary>
public partial struct VirtualGic
{
    /// <summary>Key of <see cref="Fill"/>: set for interrupts that are not active, so that they sort behind.</summary>
    private const uint KeyNotActive = 1 << 16;

    /// <summary>
    /// Chooses what a vCPU's list registers shall hold: active interrupts first, for the guest must be able to end
    /// them, then pending ones by priority. The last register goes to the best pending interrupt rather than to one
    /// more active one.
    /// </summary>
    /// <param name="vcpu">The vCPU; its list registers have been given back by <see cref="Sync"/>.</param>
    /// <param name="registers">As many as the hardware has, at most 16; all are written, unused ones with 0.</param>
    /// <param name="more">
    /// Not everything found room: with at least 2 list registers, ICH_HCR_EL2.UIE must be set, so that a maintenance
    /// interrupt comes when at most one of them is still in use.
    /// </param>
    /// <returns>
    /// How many list registers are used. When Sync was left out, as many as before, and nothing is written.
    /// </returns>
    public int Fill(int vcpu, Span<ulong> registers, out bool more)
    {
        more = false;
        ref VcpuInterface self = ref vcpus[vcpu];
        if (self.Used != 0)
        {
            return self.Used;
        }

        registers.Clear();
        if (self.Summary == 0)
        {
            return 0;
        }

        Span<uint> keys = stackalloc uint[ListRegister.Maximum];
        keys = keys.Slice(0, registers.Length < ListRegister.Maximum ? registers.Length : ListRegister.Maximum);
        int used = Choose(vcpu, keys, out more);
        for (int i = 0; i < used; i++)
        {
            uint interrupt = keys[i] & 0xFF;
            registers[i] = Load(vcpu, interrupt);
            self.LoadedInterrupts[i] = (byte)interrupt;
        }

        self.Used = used;
        Refresh(vcpu);
        return used;
    }

    /// <summary>
    /// Takes the list registers back after an exit: each interrupt is pending, active, both or neither as the hardware
    /// left it, and level-sensitive ones go by their lines again.
    /// </summary>
    /// <param name="vcpu">The vCPU.</param>
    /// <param name="registers">ICH_LR&lt;n&gt;_EL2, at least as many as are in use.</param>
    public uint Sync(int vcpu, ReadOnlySpan<ulong> registers)
    {
        ref VcpuInterface self = ref vcpus[vcpu];
        bool sharedChanged = false;
        for (int i = 0; i < self.Used; i++)
        {
            // A caller who brings fewer registers than it loaded has lost them: the interrupts have ended.
            ulong register = i < registers.Length ? registers[i] : 0;
            uint interrupt = self.LoadedInterrupts[i];
            uint bit = 1U << (int)(interrupt % 32);
            if (interrupt < FirstShared)
            {
                self.Private.Unload(bit, register);
                continue;
            }

            int index = (int)(interrupt / 32) - 1;
            ref InterruptBank bank = ref shared[index];
            bank.Unload(bit, register);
            self.Held[index] &= ~bit | bank.Active;
            sharedChanged = true;
        }

        self.Used = 0;
        return sharedChanged ? RefreshAll() : Refresh(vcpu);
    }

    /// <summary>
    /// The guest has ended interrupts that were active but in no list register (ICH_HCR_EL2.EOIcount): the ones of the
    /// highest priority end. To be called before <see cref="Sync"/>.
    /// </summary>
    public uint EndUnlisted(int vcpu, uint ended)
    {
        for (; ended != 0; ended--)
        {
            uint best = uint.MaxValue;
            for (int index = 0; index <= SharedBanks; index++)
            {
                ref InterruptBank bank = ref Bank(ref this, vcpu, index);
                uint unlisted = bank.Active & ~bank.Loaded & HeldBy(vcpu, index);
                while (unlisted != 0)
                {
                    int number = BitOperations.TrailingZeroCount(unlisted);
                    unlisted &= unlisted - 1;
                    uint key = Key(ref bank, index, number);
                    best = key < best ? key : best;
                }
            }

            if (best == uint.MaxValue)
            {
                break;
            }

            int bankIndex = (int)((best & 0xFF) / 32);
            uint bit = 1U << (int)(best % 32);
            Bank(ref this, vcpu, bankIndex).ClearActive(bit);
            Unhold(vcpu, bankIndex, bit);
        }

        return RefreshAll();
    }

    private static uint Key(ref InterruptBank bank, int index, int number) =>
        ((bank.Active >> number) & 1) == 0
            ? KeyNotActive | ((uint)bank.Priorities[number] << 8) | (uint)((index * 32) + number)
            : ((uint)bank.Priorities[number] << 8) | (uint)((index * 32) + number);

    /// <summary>Sorts the best candidates into <paramref name="keys"/>, smallest first.</summary>
    private int Choose(int vcpu, Span<uint> keys, out bool more)
    {
        int used = 0;
        int candidates = 0;
        uint bestPending = uint.MaxValue;
        for (int index = 0; index <= SharedBanks; index++)
        {
            ref InterruptBank bank = ref Bank(ref this, vcpu, index);
            if (bank.IsQuiet)
            {
                continue;
            }

            uint active = bank.Active & HeldBy(vcpu, index);
            uint set = active | (Deliverable(vcpu, index) & ~bank.Active);
            while (set != 0)
            {
                int number = BitOperations.TrailingZeroCount(set);
                set &= set - 1;
                uint key = Key(ref bank, index, number);
                candidates++;
                bestPending = key >= KeyNotActive && key < bestPending ? key : bestPending;
                if (used == keys.Length)
                {
                    if (used == 0 || key > keys[used - 1])
                    {
                        continue;
                    }

                    used--;
                }

                int place = used;
                while (place > 0 && keys[place - 1] > key)
                {
                    keys[place] = keys[place - 1];
                    place--;
                }

                keys[place] = key;
                used++;
            }
        }

        more = candidates > used;
        if (more && used >= 2 && keys[used - 1] < KeyNotActive && bestPending != uint.MaxValue)
        {
            keys[used - 1] = bestPending;
        }

        return used;
    }

    private ulong Load(int vcpu, uint interrupt)
    {
        int index = (int)(interrupt / 32);
        int number = (int)(interrupt % 32);
        uint bit = 1U << number;
        ref InterruptBank bank = ref Bank(ref this, vcpu, index);
        ulong register = interrupt | ((ulong)bank.Priorities[number] << ListRegister.PriorityShift);
        if ((bank.Group1 & bit) != 0)
        {
            register |= ListRegister.Group1;
        }

        bool level = (bank.EdgeTriggered & bit) == 0;
        if ((bank.Active & bit) != 0)
        {
            register |= ListRegister.Active;

            // Pending again while active is for edges: a line is looked at again when the interrupt has ended, and
            // with HW = 1 the architecture does not allow it.
            if (!level && (Deliverable(vcpu, index) & bit) != 0)
            {
                register |= ListRegister.Pending;
            }
        }
        else
        {
            register |= ListRegister.Pending;
        }

        if ((bank.HardwareActive & bit) != 0)
        {
            register |= ListRegister.Hardware | ((ulong)interrupt << ListRegister.PhysicalShift);
        }
        else if (level)
        {
            register |= ListRegister.TellEnd;
        }

        bank.Loaded |= bit;
        bank.LoadedAsPending |= (register & ListRegister.Pending) != 0 ? bit : 0;
        if (index != 0)
        {
            vcpus[vcpu].Held[index - 1] |= bit;
        }

        return register;
    }
}
