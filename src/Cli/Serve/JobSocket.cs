using System;
using System.Buffers;
using System.IO;
using System.Net.WebSockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Serve;

/// <summary>What a binary message carries: its first byte.</summary>
internal enum JobBytes : byte
{
    /// <summary>To the program's standard input.</summary>
    Input = 0,

    /// <summary>From its standard output, or its terminal.</summary>
    Output = 1,

    /// <summary>From its standard error.</summary>
    Error = 2,

    /// <summary>Of a file that is copied, in the order in which the files were named.</summary>
    File = 3,
}

/// <summary>
/// One job over a WebSocket, either end (docs/serve.md): text messages are notes in JSON, binary ones bytes behind a
/// <see cref="JobBytes"/>. One reader at a time; several may write. A connection that breaks, or says what cannot be,
/// is an <see cref="IOException"/>.
/// </summary>
internal sealed class JobSocket(WebSocket socket) : IDisposable
{
    /// <summary>Bytes of a message at most; a longer one ends the conversation.</summary>
    public const int MostBytes = 128 * 1024;

    private readonly SemaphoreSlim _oneWriter = new(1);
    private byte[] _buffer = new byte[32 * 1024];

    /// <summary>
    /// The next message, good until the one after it; the text of a note, or bytes. Null at the end of the
    /// conversation.
    /// </summary>
    public async Task<(bool IsNote, ReadOnlyMemory<byte> Bytes)?> ReadAsync(CancellationToken cancellation)
    {
        try
        {
            int length = 0;
            while (true)
            {
                if (length == _buffer.Length)
                {
                    Array.Resize(ref _buffer, length < MostBytes
                        ? length * 2
                        : throw new IOException($"a message has more than {MostBytes} bytes"));
                }

                ValueWebSocketReceiveResult got = await socket.ReceiveAsync(_buffer.AsMemory(length), cancellation)
                    .ConfigureAwait(false);
                if (got.MessageType == WebSocketMessageType.Close)
                {
                    return null;
                }

                length += got.Count;
                if (got.EndOfMessage)
                {
                    return got.MessageType == WebSocketMessageType.Binary && length == 0
                        ? throw new IOException("a message of bytes does not say whose")
                        : (got.MessageType == WebSocketMessageType.Text, _buffer.AsMemory(0, length));
                }
            }
        }
        catch (WebSocketException error)
        {
            throw new IOException("the connection is broken: " + error.Message, error);
        }
    }

    /// <summary>Reads a note.</summary>
    public static T Parse<T>(ReadOnlyMemory<byte> text, JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(text.Span, type) ?? throw new IOException("a message is null");
        }
        catch (JsonException error)
        {
            throw new IOException("a message cannot be read: " + error.Message, error);
        }
    }

    public Task SayAsync<T>(T note, JsonTypeInfo<T> type, CancellationToken cancellation) => SendAsync(
        JsonSerializer.SerializeToUtf8Bytes(note, type), WebSocketMessageType.Text, cancellation);

    public async Task SendAsync(JobBytes whose, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        while (!bytes.IsEmpty)
        {
            int count = Math.Min(bytes.Length, MostBytes - 1);
            byte[] message = ArrayPool<byte>.Shared.Rent(count + 1);
            try
            {
                message[0] = (byte)whose;
                bytes[..count].CopyTo(message.AsMemory(1));
                await SendAsync(message.AsMemory(0, count + 1), WebSocketMessageType.Binary, cancellation)
                    .ConfigureAwait(false);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(message);
            }

            bytes = bytes[count..];
        }
    }

    /// <summary>A stream whose writes are messages.</summary>
    public Stream Writing(JobBytes whose) =>
        new CallStream((bytes, cancellation) => SendAsync(whose, bytes, cancellation));

    /// <summary>Says that all is said, where the other end still listens.</summary>
    public async Task CloseAsync(CancellationToken cancellation)
    {
        try
        {
            await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, cancellation).ConfigureAwait(false);
        }
        catch (Exception error) when (error is WebSocketException or IOException or ObjectDisposedException
            or OperationCanceledException or InvalidOperationException)
        {
            // It has gone.
        }
    }

    public void Dispose()
    {
        socket.Dispose();
        _oneWriter.Dispose();
    }

    private async Task SendAsync(
        ReadOnlyMemory<byte> message, WebSocketMessageType type, CancellationToken cancellation)
    {
        await _oneWriter.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            await socket.SendAsync(message, type, endOfMessage: true, cancellation).ConfigureAwait(false);
        }
        catch (Exception error) when (error is WebSocketException or ObjectDisposedException)
        {
            throw new IOException("the connection is broken: " + error.Message, error);
        }
        finally
        {
            _oneWriter.Release();
        }
    }
}
