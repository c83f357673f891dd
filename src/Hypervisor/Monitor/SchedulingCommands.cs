using System;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Scheduling;
using Quietus.Hypervisor.Vms;
using Quietus.Wire;

namespace Quietus.Hypervisor.Monitor;

/// <summary>The monitor's commands about who runs where (docs/protocol.md).</summary>
/// <remarks>Invariant: a VM's pointer is to a slot of VmTable, boot memory that is never moved or given back.</remarks>
internal static unsafe class SchedulingCommands
{
    /// <summary>Reads a VM's weight and the cores that it may use. False: the reply says what is wrong.</summary>
    internal static bool TryReadShare(in CommandLine command, ref LineBuilder reply, ref VmOptions options)
    {
        options.Weight = SchedulerEntry.UsualWeight;
        if (command.TryGet("weight"u8, out ReadOnlySpan<byte> text))
        {
            if (Numbers.TryParse(text, out ulong weight) != NumberError.None
                || weight is < SchedulerEntry.LeastWeight or > SchedulerEntry.GreatestWeight)
            {
                Commands.Fail(
                    ref reply,
                    "bad-weight"u8,
                    "weight=10 to weight=1000: its vCPUs' shares of busy cores; 100 is usual"u8);
                return false;
            }

            options.Weight = (uint)weight;
        }

        ulong there = Dispatcher.CoreSet;
        if (command.TryGet("cores"u8, out text)
            && (!CoreList.TryParse(text, out options.Cores) || (options.Cores & ~there) != 0))
        {
            Span<byte> buffer = stackalloc byte[192];
            LineBuilder message = new(buffer);
            message.Text("cores=1,3 or cores=1-3: the cores that its vCPUs may use; this machine's for vCPUs are "u8);
            CoreList.Write(ref message, there);
            Commands.Fail(ref reply, "bad-cores"u8, message.Written);
            return false;
        }

        options.Cores = options.Cores == there ? 0 : options.Cores;
        return true;
    }

    /// <summary>A VM's share and what it has had of it.</summary>
    internal static void WriteShare(ref LineBuilder line, Vm* vm)
    {
        Dispatcher.ReadTimes(vm, out ulong ran, out ulong waited);
        line.Field("weight"u8, vm->Options.Weight);
        line.Field("cores"u8, default(ReadOnlySpan<byte>));
        CoreList.Write(ref line, vm->Options.Cores == 0 ? Dispatcher.CoreSet : vm->Options.Cores);
        line.Field("cpu_ns"u8, Stopwatch.ToNanoseconds(ran));
        line.Field("waited_ns"u8, Stopwatch.ToNanoseconds(waited));
    }

    /// <summary>A line for each core.</summary>
    internal static void ListCores(ref LineBuilder reply)
    {
        Span<byte> buffer = stackalloc byte[192];
        for (int i = 0; i < Platform.CoreCount; i++)
        {
            LineBuilder line = new(buffer);
            CoreFigures figures = Dispatcher.ReadCore(i);
            line.Text("-"u8);
            line.Field("core"u8, (ulong)i);
            line.Field("runs"u8, figures.Vm != 0 ? "vcpu"u8 : i == 0 ? "monitor"u8 : "nothing"u8);
            if (figures.Vm != 0)
            {
                line.Field("vm"u8, figures.Vm);
                line.Field("vcpu"u8, (ulong)figures.Vcpu);
            }

            line.Field("waiting"u8, (ulong)figures.Waiting);
            line.Field("busy_ns"u8, Stopwatch.ToNanoseconds(figures.BusyTicks));
            line.Field("taken"u8, figures.Taken);
            MachineConsole.Send(Channel.Monitor, line.Written);
        }

        reply.Field("count"u8, (ulong)Platform.CoreCount);
        reply.Field("now_ns"u8, Stopwatch.Now);
    }
}
