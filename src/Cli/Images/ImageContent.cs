using System;
using System.IO;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Quietus.Traces.Packing;

namespace Quietus.Cli.Images;

/// <summary>The bytes of a file of an image, wherever they lie. They are never held in memory as a whole.</summary>
internal abstract class ImageContent(long length)
{
    public long Length { get; } = length;

    /// <summary>Opens it for reading from its start.</summary>
    public abstract Stream Open();

    /// <summary>All of a small file; an error when it is not small.</summary>
    public byte[] Read(int most)
    {
        if (Length > most)
        {
            throw new ImageException($"a file that should be small has {Length} bytes");
        }

        byte[] bytes = new byte[Length];
        using Stream stream = Open();
        stream.ReadExactly(bytes);
        return bytes;
    }
}

/// <summary>Some bytes.</summary>
internal sealed class ContentOfBytes(byte[] bytes) : ImageContent(bytes.Length)
{
    public ContentOfBytes(string text)
        : this(Encoding.UTF8.GetBytes(text))
    {
    }

    public override Stream Open() => new MemoryStream(bytes, writable: false);
}

/// <summary>A regular file of this host, which must not change meanwhile.</summary>
internal sealed class ContentOfFile(string path, long length) : ImageContent(length)
{
    public override Stream Open()
    {
        try
        {
            var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            if (file.Length == Length)
            {
                return file;
            }

            file.Dispose();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ImageException($"{path} cannot be read: {error.Message}", error);
        }

        throw new ImageException($"{path} has changed while it was read");
    }
}

/// <summary>A part of an open file.</summary>
internal sealed class ContentOfPart(SafeFileHandle file, long offset, long length) : ImageContent(length)
{
    public override Stream Open() => new PartStream(file, offset, Length);

    private sealed class PartStream(SafeFileHandle file, long offset, long length) : ReadOnlyStream
    {
        private long _at;

        public override int Read(Span<byte> buffer)
        {
            int count = RandomAccess.Read(file, buffer[..(int)Math.Min(buffer.Length, length - _at)], offset + _at);
            _at += count;
            return count;
        }
    }
}
