using System.Collections;
using System.Globalization;

namespace C10kServer.Parameters;

/// <summary>
/// Reads bytes out of whatever array or list the shell made of them: the sum of two byte[] is an object[], and so is what came out of a pipeline.
/// </summary>
internal static class ByteList
{
    /// <summary>The bytes of a byte, an array or a list; in these, whole numbers from 0 to 255 count as bytes. Null: the value is none.</summary>
    /// <exception cref="ArgumentException">It is one, and has something else in it.</exception>
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

    /// <exception cref="ArgumentException">It is no byte.</exception>
    internal static byte ReadByte(object? value)
    {
        // Numbers alone: of strings nobody knows whether they are to be joined, or are numbers.
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
