using System;
using System.IO;

namespace Quietus.Cli.Images;

/// <summary>
/// Where the files of an archive wait for their turn: one file without a name of its own to keep, gone with this
/// object. An archive can be read only once and in its own order, and a later layer decides what of it stays.
/// </summary>
internal sealed class ContentSpool : IDisposable
{
    private readonly FileStream _file;
    private readonly long _most;

    /// <param name="folder">A folder that is this process's own.</param>
    /// <param name="most">Bytes that it holds at most.</param>
    public ContentSpool(string folder, long most)
    {
        _most = most;
        _file = new FileStream(
            Path.Combine(folder, Path.GetRandomFileName()), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None,
            bufferSize: 64 * 1024, FileOptions.DeleteOnClose);
    }

    /// <summary>Takes a file's bytes; an error when there are fewer than stated, or too many in all.</summary>
    public ImageContent Add(Stream? source, long length)
    {
        if (length < 0 || length > _most - _file.Position)
        {
            throw new ImageException($"its files have more than {_most} bytes");
        }

        if (length == 0)
        {
            return new ContentOfBytes([]);
        }

        long start = _file.Position;
        source?.CopyTo(_file);
        if (_file.Position - start != length)
        {
            throw new ImageException("it ends in the middle of a file");
        }

        _file.Flush();
        return new ContentOfPart(_file.SafeFileHandle, start, length);
    }

    public void Dispose() => _file.Dispose();
}
