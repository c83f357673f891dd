using System.Runtime.CompilerServices;
using Internal.Runtime;

namespace System;

/// <summary>The root of all types. Its one field is the pointer that ILC lays down first in every object.</summary>
public unsafe class Object
{
    internal MethodTable* m_pMethodTable;

    public Object()
    {
    }

    public virtual bool Equals(object? other) => ReferenceEquals(this, other);

    public virtual int GetHashCode() => 0;

    public static bool ReferenceEquals(object? left, object? right) => left == right;
}

/// <summary>The return type of a method that returns nothing; ILC looks it up by name.</summary>
public struct Void;

public abstract class ValueType;

public abstract class Enum : ValueType;

public abstract class Attribute;

/// <summary>Never created: it is here because metadata may name it.</summary>
public abstract class Exception;

public abstract class Delegate;

public abstract class MulticastDelegate : Delegate;

public abstract class Type;

/// <summary>A fixed string, as the compiler lays it into the image: length, then UTF-16 units.</summary>
public sealed class String
{
    internal readonly int _stringLength;
    internal char _firstChar;

    public int Length
    {
        [Intrinsic]
        get => _stringLength;
    }
}

/// <summary>Arrays are never created; the type is here for signatures that the compiler wants.</summary>
public abstract class Array
{
    internal int _numComponents;

    public int Length => _numComponents;
}

internal class Array<T> : Array;

/// <summary>
/// A value or nothing. <see cref="Value"/> of nothing is the default value: nothing catches a throw.
/// </summary>
public struct Nullable<T> where T : struct
{
    private readonly bool hasValue;
    private readonly T value;

    public Nullable(T value)
    {
        this.value = value;
        hasValue = true;
    }

    public readonly bool HasValue => hasValue;

    public readonly T Value => value;

    public readonly T GetValueOrDefault() => value;

    public static implicit operator T?(T value) => new Nullable<T>(value);
}

public interface IEquatable<T>
{
    bool Equals(T? other);
}

public interface IComparable<T>
{
    int CompareTo(T? other);
}

public struct RuntimeTypeHandle
{
    internal nint value;
}

public struct RuntimeMethodHandle
{
    internal nint value;
}

public struct RuntimeFieldHandle
{
    internal nint value;
}
