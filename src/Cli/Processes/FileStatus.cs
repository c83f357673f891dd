using System;
using System.Runtime.InteropServices;

namespace Quietus.Cli.Processes;

/// <summary>
/// What the host's kernel says of a file. .NET does not tell devices and FIFOs from files, nor owners.
/// </summary>
internal sealed record FileStatus
{
    // inode(7).
    public const int TypeMask = 0xF000;
    public const int Pipe = 0x1000;
    public const int CharacterDevice = 0x2000;
    public const int Folder = 0x4000;
    public const int BlockDevice = 0x6000;
    public const int Regular = 0x8000;
    public const int Link = 0xA000;
    public const int Socket = 0xC000;

    // struct statx is the same on every architecture: statx(2).
    private const int StatxBytes = 256;
    private const int LinksOffset = 16;
    private const int OwnerOffset = 20;
    private const int GroupOffset = 24;
    private const int ModeOffset = 28;
    private const int InodeOffset = 32;
    private const int SizeOffset = 40;
    private const int ModifiedOffset = 112;
    private const int SpecialOffset = 128;
    private const int DeviceOffset = 136;
    private const uint BasicStatistics = 0x7FF; // STATX_BASIC_STATS
    private const int CurrentFolder = -100; // AT_FDCWD
    private const int NoFollow = 0x100; // AT_SYMLINK_NOFOLLOW

    /// <summary>st_mode: the type and the permissions.</summary>
    public required int Mode { get; init; }

    public required uint Owner { get; init; }

    public required uint Group { get; init; }

    /// <summary>Names that the file has.</summary>
    public required uint Links { get; init; }

    public required long Size { get; init; }

    /// <summary>Seconds since 1970.</summary>
    public required long Modified { get; init; }

    public required ulong Inode { get; init; }

    /// <summary>The file system that it lies on: major and minor.</summary>
    public required (uint Major, uint Minor) Device { get; init; }

    /// <summary>The device that it stands for, where it is one.</summary>
    public required (uint Major, uint Minor) Special { get; init; }

    public int Type => Mode & TypeMask;

    public bool IsRegular => Type == Regular;

    public bool IsFolder => Type == Folder;

    public bool IsPipe => Type == Pipe;

    /// <summary>The same for two names of one file.</summary>
    public string Identity => $"{Device.Major}:{Device.Minor}:{Inode}";

    /// <summary>Null where there is no such file, or it cannot be seen.</summary>
    /// <param name="path">The file.</param>
    /// <param name="follow">Whether a symbolic link stands for what it leads to.</param>
    public static FileStatus? Of(string path, bool follow = true)
    {
        byte[] status = new byte[StatxBytes];
        return NativeMethods.Statx(CurrentFolder, path, follow ? 0 : NoFollow, BasicStatistics, status) == 0
            ? new FileStatus
            {
                Mode = BitConverter.ToUInt16(status, ModeOffset),
                Owner = BitConverter.ToUInt32(status, OwnerOffset),
                Group = BitConverter.ToUInt32(status, GroupOffset),
                Links = BitConverter.ToUInt32(status, LinksOffset),
                Size = BitConverter.ToInt64(status, SizeOffset),
                Modified = BitConverter.ToInt64(status, ModifiedOffset),
                Inode = BitConverter.ToUInt64(status, InodeOffset),
                Device = Numbers(status, DeviceOffset),
                Special = Numbers(status, SpecialOffset),
            }
            : null;
    }

    private static (uint Major, uint Minor) Numbers(byte[] status, int at) =>
        (BitConverter.ToUInt32(status, at), BitConverter.ToUInt32(status, at + 4));

    private static class NativeMethods
    {
        [DllImport("libc", EntryPoint = "statx")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Statx(
            int folder, [MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags, uint mask, [Out] byte[] status);
    }
}
