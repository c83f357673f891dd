namespace Quietus.Cli.Templates;

/// <summary>A root file system, packed.</summary>
/// <param name="Archive">Path of the RAM disk that holds it, or what a disk needs beside itself.</param>
/// <param name="Disk">Path of the ext4 file that it is; null where it is all in the archive.</param>
internal sealed record StoredImage(string Archive, string? Disk);
