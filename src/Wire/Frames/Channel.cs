namespace Quietus.Wire;

/// <summary>What a frame carries. Several independent streams share the machine's only UART.</summary>
public enum Channel : byte
{
    /// <summary>EL2 to host: diagnostic text, UTF-8, whole lines.</summary>
    Log = 0,

    /// <summary>Host to EL2: one command line. EL2 to host: the lines of its reply.</summary>
    Monitor = 1,

    /// <summary>EL2 to host: one line per event, <c>event=NAME key=value …</c>.</summary>
    Event = 2,

    /// <summary>EL2 to host: the text of a fault report. The machine is halted after it.</summary>
    Panic = 3,

    /// <summary>Both directions: console bytes of a slot that have been taken (<see cref="FlowMessage"/>).</summary>
    Flow = 4,

    /// <summary>Both directions: connections to ports of a VM (<see cref="StreamMessage"/>).</summary>
    Stream = 5,

    /// <summary>
    /// The console of the VM in slot 0, raw bytes in both directions; slot N has <c>FirstConsole + N</c>,
    /// N below <see cref="FrameFormat.ConsoleSlots"/>.
    /// </summary>
    FirstConsole = 16,
}
