namespace Quietus.LinuxProgram;

/// <summary>The numbers of arm64's system calls (include/uapi/asm-generic/unistd.h).</summary>
internal static class SystemCallNumber
{
    internal const long Duplicate = 24;
    internal const long Control = 29;
    internal const long MakeFolderAt = 34;
    internal const long Mount = 40;
    internal const long Resize = 46;
    internal const long PunchHole = 47;
    internal const long OpenAt = 56;
    internal const long Close = 57;
    internal const long Pipe = 59;
    internal const long ReadFolder = 61;
    internal const long Read = 63;
    internal const long Write = 64;
    internal const long WriteAt = 68;
    internal const long ExitGroup = 94;
    internal const long Sleep = 101;
    internal const long Clock = 113;
    internal const long SetScheduler = 119;
    internal const long SetProcessors = 122;
    internal const long GetProcessors = 123;
    internal const long Yield = 124;
    internal const long Kill = 129;
    internal const long Reboot = 142;
    internal const long Names = 160;
    internal const long ProcessControl = 167;
    internal const long ProcessId = 172;
    internal const long ParentId = 173;
    internal const long UserId = 174;
    internal const long SystemInformation = 179;
    internal const long UnmapMemory = 215;
    internal const long Clone = 220;
    internal const long MapMemory = 222;
    internal const long Advise = 233;
    internal const long OpenCounter = 241;
    internal const long Wait = 260;
    internal const long MakeFile = 279;
    internal const long UserFaults = 282;
}
