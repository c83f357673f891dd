namespace Quietus.Cli.Guests;

/// <summary>A member of a cpio archive, without its bytes.</summary>
/// <param name="Name">Its path, without a slash before it.</param>
/// <param name="Mode">As inode(7) has it: the type and the permissions.</param>
internal readonly record struct CpioEntry(string Name, int Mode)
{
    public uint Owner { get; init; }

    public uint Group { get; init; }

    /// <summary>Seconds since 1970.</summary>
    public uint Modified { get; init; }

    /// <summary>The device that it stands for, where it is one.</summary>
    public (uint Major, uint Minor) Special { get; init; }

    /// <summary>Another name of the member that was given this number; null for a file of its own.</summary>
    public uint? SameAs { get; init; }

    /// <summary>Names that the file has; those after the first come without bytes.</summary>
    public uint Names { get; init; } = 1;
}
