using System.Runtime.CompilerServices;
using Quietus.Stage2;

namespace Quietus.Memory;

// What a page holds before a guest can reach it: zeroes, or what its host put there, where caches off see it too.
public partial struct GuestMemory<TFormat, TMachine>
{
    /// <summary>
    /// What <see cref="FillStep"/> overwrites at once, or a granule where that is more: 4 pages of 4 KB, about 810
    /// instructions with the cleaning to the PoC.
    /// </summary>
    public const ulong FillStepBytes = 16 * 1024;

    /// <summary>
    /// Second step, without the lock: gives a pool page its zeroes and makes them visible past the caches, for a
    /// guest that runs with its own caches off. A host's page is left as it is.
    /// </summary>
    public readonly void FillFault(ref TMachine machine, ref FaultTicket ticket)
    {
        if (!ticket.IsPoolPage)
        {
            return;
        }

        // licence: scrubbing left zeroes at the PoC, where a guest with its caches off finds them.
        ulong bytes = Stage2Geometry.LevelBytes<TFormat>(ticket.Level);
        if (!ticket.IsZero)
        {
            FillWithZeroes(ref machine, new Pa(ticket.Page), bytes);
        }

        FinishFill(ref machine, ref ticket, bytes);
    }

    /// <summary>
    /// A part of <see cref="FillFault"/>, so that a PE can look for orders in between: a block takes 512 times as long
    /// as a page. False while there is more to do. Abandon the fault to leave off.
    /// </summary>
    public readonly bool FillStep(ref TMachine machine, ref FaultTicket ticket)
    {
        if (!ticket.IsPoolPage)
        {
            return true;
        }

        ulong bytes = Stage2Geometry.LevelBytes<TFormat>(ticket.Level);
        if (!ticket.IsZero)
        {
            ulong step = Smaller(bytes, Larger(FillStepBytes, GranuleBytes));
            ZeroFrame(ref machine, new Pa(ticket.Page + ticket.Filled), step);
            ticket.Filled += (uint)step;
            if (ticket.Filled != bytes)
            {
                return false;
            }

            CompleteZeroes(ref machine);
        }

        FinishFill(ref machine, ref ticket, bytes);
        return true;
    }

    private static void FinishFill(ref TMachine machine, ref FaultTicket ticket, ulong bytes)
    {
        ticket.IsZero = true;
        if (ticket.Access == AccessKind.Execute)
        {
            InvalidateInstructions(ref machine, new Pa(ticket.Page), bytes);
        }
    }

    private static void FillWithZeroes(ref TMachine machine, Pa page, ulong bytes)
    {
        ZeroFrame(ref machine, page, bytes);
        CompleteZeroes(ref machine);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ZeroFrame(ref TMachine machine, Pa page, ulong bytes)
    {
        if (machine.HasForcedWriteBack)
        {
            machine.ZeroFrame(page, bytes);
        }
        else
        {
            machine.ZeroFrameToPoC(page, bytes);
        }
    }

    /// <summary>The zeroes are there before another vCPU's walk can find the leaf.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void CompleteZeroes(ref TMachine machine)
    {
        if (machine.HasForcedWriteBack)
        {
            machine.DsbInnerShareableStores();
        }
        else
        {
            machine.DsbFullSystem();
        }
    }

    /// <summary>
    /// Cleans and invalidates a page to the PoC, so that a guest with its caches off sees what is in it and not
    /// what memory held before. FEAT_S2FWB makes every guest access cacheable, and needs none.
    /// </summary>
    private static void MakeVisible(ref TMachine machine, Pa page, ulong bytes, bool isExecuted)
    {
        if (!machine.HasForcedWriteBack)
        {
            machine.CleanInvalidateToPoC(page, bytes);
            machine.DsbFullSystem();
        }

        if (isExecuted)
        {
            InvalidateInstructions(ref machine, page, bytes);
        }
    }

    private static void InvalidateInstructions(ref TMachine machine, Pa page, ulong bytes)
    {
        if (!machine.HasInstructionCacheCoherency)
        {
            machine.InvalidateInstructionCache(page, bytes);
            machine.DsbInnerShareable();
        }
    }
}
