using Quietus.Cli.Terminals;

namespace Quietus.Cli.Monitoring;
/// <summary>What the machine says unasked.</summary>
internal abstract record MachineMessage;
/// <summary>Something happened: a VM changed its state, or a guest reported.</summary>
internal sealed record MachineEvent(string Name, KeyValueLine Line) : MachineMessage
{
    /// <summary>What people are told of <c>event=device</c>: a guest broke a device of its own.</summary>
    public string ToDeviceNews() =>
        $"the guest broke its {Printable.Line(Line.Value("device") ?? "device")} ("
            + $"{Printable.Line(Line.Value("reason") ?? "no reason given")}); it rests until its driver resets it";
}

/// <summary>A guest wrote on its console.</summary>
/// <param name="Slot">The VM's slot.</param>
/// <param name="Bytes">What it wrote, unchanged: it can be anything.</param>
internal sealed record ConsoleOutput(int Slot, byte[] Bytes) : MachineMessage;
/// <summary>A line of the hypervisor's log.</summary>
internal sealed record LogLine(string Text) : MachineMessage;
