namespace Quietus.Wire;

/// <summary>Where encoded bytes go, one at a time: a UART, a buffer, a test.</summary>
public interface IByteSink
{
    /// <summary>Takes one byte. A sink that is full waits or counts what it drops; it cannot refuse.</summary>
    void Write(byte value);
}
