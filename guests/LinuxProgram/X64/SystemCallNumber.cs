namespace Quietus.LinuxProgram;

/// <summary>The numbers of x86-64's system calls (arch/x86/entry/syscalls/syscall_64.tbl).</summary>
internal static class SystemCallNumber
{
    internal const long Read = 0;
    internal const long Write = 1;
    internal const long Close = 3;
    internal const long MapMemory = 9;
    internal const long UnmapMemory = 11;
    internal const long Control = 16;
    internal const long WriteAt = 18;
    internal const long Yield = 24;
    internal const long Advise = 28;
    internal const long Sleep = 35;
    internal const long ProcessId = 39;
    internal const long Clone = 56;
    internal const long Wait = 61;
    internal const long Kill = 62;
    internal const long Names = 63;
    internal const long Resize = 77;
    internal const long SystemInformation = 99;
    internal const long UserId = 102;
    internal const long ParentId = 110;
    internal const long SetScheduler = 144;
    internal const long ProcessControl = 157;
    internal const long Mount = 165;
    internal const long Reboot = 169;
    internal const long SetProcessors = 203;
    internal const long GetProcessors = 204;
    internal const long ReadFolder = 217;
    internal const long Clock = 228;
    internal const long ExitGroup = 231;
    internal const long OpenAt = 257;
    internal const long MakeFolderAt = 258;
    internal const long PunchHole = 285;
    internal const long Duplicate = 292;
    internal const long Pipe = 293;
    internal const long OpenCounter = 298;
    internal const long MakeFile = 319;
    internal const long UserFaults = 323;
}
