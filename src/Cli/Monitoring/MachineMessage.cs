namespace Quietus.Cli.Monitoring;
/// <summary>What the machine says unasked.</summary>
internal abstract record MachineMessage;
/// <summary>Something happened: a VM changed its state, or a guest reported.</summary>
internal sealed record MachineEvent(string Name, KeyValueLine Line) : MachineMessage;
/// <summary>A guest wrote on its console.</summary>
/// <param name="Slot">The VM's slot.</param>
/// <param name="Bytes">What it wrote, unchanged: it can be anything.</param>
internal sealed record ConsoleOutput(int Slot, byte[] Bytes) : MachineMessage;
/// <summary>A line of the hypervisor's log.</summary>
internal sealed record LogLine(string Text) : MachineMessage;
