namespace Quietus.LinuxProgram;

/// <summary>What is asked of a descriptor, and what came of it (struct pollfd). One below 0 is passed over.</summary>
internal struct PollEntry(int descriptor, short asked)
{
    internal const short Readable = 1; // POLLIN
    internal const short Writable = 4; // POLLOUT

    private readonly int _descriptor = descriptor;
    private readonly short _asked = asked;

    /// <summary>What it has, or POLLERR and POLLHUP.</summary>
    internal short Came { get; } = 0;
}
