using System;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Memory;
using Quietus.Wire;

namespace Quietus.Hypervisor.Monitor;

/// <summary>The monitor's commands for templates and their children: freeze, fork, reset.</summary>
/// <remarks>Invariant: a VM's pointer is to a slot of VmTable, boot memory that is never moved or given back.</remarks>
internal static unsafe class BirthCommands
{
    internal static void Freeze(in CommandLine command, ref LineBuilder reply)
    {
        if (Commands.TryFindVm(in command, ref reply, out Vm* vm))
        {
            Answer(VmLife.Freeze(vm, out BirthFigures figures), vm, in figures, ref reply);
        }
    }

    internal static void Reset(in CommandLine command, ref LineBuilder reply)
    {
        if (Commands.TryFindVm(in command, ref reply, out Vm* vm))
        {
            Answer(VmLife.Reset(vm, out BirthFigures figures), vm, in figures, ref reply);
        }
    }

    internal static void Fork(in CommandLine command, ref LineBuilder reply)
    {
        if (!Commands.TryFindVm(in command, ref reply, out Vm* template))
        {
            return;
        }

        ulong count = 1;
        if (command.TryGet("count"u8, out ReadOnlySpan<byte> text)
            && (Numbers.TryParse(text, out count) != NumberError.None || count > VmLife.MostChildrenAtOnce))
        {
            count = 0;
        }

        int mostChunks = int.MaxValue;
        if (command.TryGet("own"u8, out text) && !TryReadChunks(text, out mostChunks))
        {
            Commands.Fail(ref reply, "bad-own"u8,
                "own=BYTES, a multiple of 2M, at least 2M: what the child may own of pages and tables"u8);
            return;
        }

        command.TryGet("text"u8, out text);
        Vm** children = stackalloc Vm*[VmLife.MostChildrenAtOnce];
        VmError error = VmLife.Fork(template, (int)count, mostChunks, text, children, out BirthFigures figures);
        if (error != VmError.None)
        {
            Refuse(error, ref reply);
            return;
        }

        Span<byte> buffer = stackalloc byte[64];
        for (int i = 0; i < (int)count; i++)
        {
            LineBuilder line = new(buffer);
            line.Text("-"u8);
            line.Field("vm"u8, children[i]->Id);
            line.Field("slot"u8, (ulong)children[i]->Slot);
            MachineConsole.Send(Channel.Monitor, line.Written);
        }

        reply.Field("template"u8, template->Id);
        reply.Field("count"u8, count);
        reply.Field(Stopwatch.CountsInstructions ? DeathFields.Instructions : DeathFields.Ticks, figures.Ticks);
    }

    private static void Answer(VmError error, Vm* vm, in BirthFigures figures, ref LineBuilder reply)
    {
        if (error != VmError.None)
        {
            Refuse(error, ref reply);
            return;
        }

        reply.Field("vm"u8, vm->Id);
        figures.Write(ref reply);
        reply.Field("owned_bytes"u8, VmLife.OwnedBytes(vm));
    }

    private static void Refuse(VmError error, ref LineBuilder reply) =>
        Commands.Fail(ref reply, VmErrors.CodeOf(error), VmErrors.Describe(error));

    private static bool TryReadChunks(ReadOnlySpan<byte> text, out int chunks)
    {
        bool isSize = Numbers.TryParseSize(text, out ulong bytes) == NumberError.None;
        ulong whole = bytes >> FramePool.ChunkShift;
        chunks = (int)Math.Min(whole, int.MaxValue);
        return isSize && whole != 0 && whole << FramePool.ChunkShift == bytes;
    }
}
