using System.Collections;
using System.Globalization;

namespace C10kServer.Parameters;

/// <summary>
/// Reads bytes from any array or list that the shell made from them. The sum of two byte[] is an object[], and so is the output of a pipeline.
/// </summary>
internal static class ByteList
{
    /// <summary>
    /// The bytes of a byte, an array or a list. In an array or a list, whole numbers from 0 to 255 count as bytes. Returns null for any other
    /// value.
    /// </summary>
    /// <exception cref="ArgumentException">An element of the array or list is not a byte.</exception>
    internal static byte[]? Read(object? value)
    {
        switch (Argument.Unwrap(value))
        {
            case byte[] bytes:
                return bytes;
            case byte one:
                return [one];
            case IList list:
                var read = new byte[list.Count];
                for (int i = 0; i < read.Length; i++)
                {
                    read[i] = ReadByte(list[i]);
                }

                return read;
            default:
                return null;
        }
    }

    /// <exception cref="ArgumentException">The value is not a byte.</exception>
    internal static byte ReadByte(object? value)
    {
        // Only numbers are accepted, because a string could be meant as text to join or as a number.
        object? number = Argument.Unwrap(value);
        return number switch
        {
            byte one => one,
            sbyte or short or ushort or int or uint or long or ulong
                when Convert.ToDecimal(number, CultureInfo.InvariantCulture) is >= byte.MinValue and <= byte.MaxValue and var read => (byte)read,
            _ => throw new ArgumentException(
                $"'{value}' is no byte, which is a number from 0 to 255. Give one string (-join makes one of several), or bytes."),
        };
    }
}
