# Where messages begin and end, and how text becomes bytes: -Framing and -Encoding of script handlers, seen from the wire.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseBOMForUnicodeEncodedFile', '', Justification = 'It is the default now.')]
param()

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    Import-Module "$PSScriptRoot/../Clients/Talk.psm1"

    # Of what is sent, as the bytes of an encoding, in the shape in which Read-Talk has them.
    function ConvertTo-Wire($Encoding, $Text) { [System.Text.Encoding]::Latin1.GetString([System.Text.Encoding]::GetEncoding($Encoding).GetBytes($Text)) }

    # A length before each text.
    function ConvertTo-Counted([int] $Size, [switch] $Little, [string[]] $Text) {
        $all = foreach ($one in $Text) {
            $length = foreach ($place in 0..($Size - 1)) { [char](($one.Length -shr (8 * $place)) -band 255) }
            if (-not $Little) { [array]::Reverse($length) }
            ($length -join '') + $one
        }
        $all -join ''
    }

    $base = Get-ProcessLedger
}

Describe '-Framing' {
    AfterEach {
        Close-Talk
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'cuts and marks: <Name>' -ForEach @(
        @{ Name = 'Line, LF'; Options = @{ Framing = 'Line' }; In = "ab`ncd`n`nef`n"; Out = "<ab>`n<cd>`n<>`n<ef>`n" }
        @{ Name = 'Line, CRLF'; Options = @{ Framing = 'Line' }; In = "ab`r`ncd`n`r`ne`rf`r`n"; Out = "<ab>`n<cd>`n<>`n<e`rf>`n" }
        @{ Name = 'Line, and sends CRLF'; Options = @{ Framing = 'Line'; NewLine = 'CrLf' }; In = "ab`r`ncd`n"; Out = "<ab>`r`n<cd>`r`n" }
        @{ Name = 'Line, the last one without its end'; Options = @{ Framing = 'Line' }; In = "ab`ncd"; Out = "<ab>`n<cd>`n" }
        @{ Name = 'Delimiter, a string'; Options = @{ Framing = 'Delimiter'; Delimiter = '--' }; In = 'ab--c-d----ef--'; Out = '<ab>--<c-d>--<>--<ef>--' }
        @{ Name = 'Delimiter, a character'; Options = @{ Framing = 'Delimiter'; Delimiter = [char]';' }; In = 'ab;cd;'; Out = '<ab>;<cd>;' }
        @{ Name = 'Delimiter, bytes'; Options = @{ Framing = 'Delimiter'; Delimiter = [byte[]](0, 255); Encoding = 'latin1' }; In = "ab`0ÿc`0d`0ÿ"; Out = "<ab>`0ÿ<c`0d>`0ÿ" }
        @{ Name = 'Delimiter, a byte'; Options = @{ Framing = 'Delimiter'; Delimiter = 0 }; In = "ab`0cd`0"; Out = "<ab>`0<cd>`0" }
        @{ Name = 'Length, 1'; Options = @{ Framing = 'Length'; LengthSize = 1 }; Size = 1; In = 'ab', '', 'cde'; Out = '<ab>', '<>', '<cde>' }
        @{ Name = 'Length, 2'; Options = @{ Framing = 'Length'; LengthSize = 2 }; Size = 2; In = 'ab', '', ('x' * 300); Out = '<ab>', '<>', "<$('x' * 300)>" }
        @{ Name = 'Length, 2, little endian'; Options = @{ Framing = 'Length'; LengthSize = 2; ByteOrder = 'LittleEndian' }; Size = 2; Little = $true; In = 'ab', '', ('x' * 300); Out = '<ab>', '<>', "<$('x' * 300)>" }
        @{ Name = 'Length, 4, the default'; Options = @{ Framing = 'Length' }; Size = 4; In = 'ab', '', ('x' * 300); Out = '<ab>', '<>', "<$('x' * 300)>" }
        @{ Name = 'Length, 4, little endian'; Options = @{ Framing = 'Length'; ByteOrder = 'LittleEndian' }; Size = 4; Little = $true; In = 'ab', '', ('x' * 300); Out = '<ab>', '<>', "<$('x' * 300)>" }
        @{ Name = 'Fixed'; Options = @{ Framing = 'Fixed'; MessageSize = 3 }; In = 'abcdefgh'; Out = '<abc><def>' }
    ) {
        $server = Start-C10kServer @Options -ScriptBlock { "<$_>" }
        if ($Size) {
            $In = ConvertTo-Counted $Size -Little:$Little $In
            $Out = ConvertTo-Counted $Size -Little:$Little $Out
        }

        Invoke-Talk $server $In | Should -BeExactly $Out
        if ($In.Length -lt 40) { Invoke-Talk $server $In -Slowly | Should -BeExactly $Out }
        $server.HandlerErrors | Should -Be 0
    }

    It 'Raw hands on what has come, as it came' {
        $talk = Open-Talk (Start-C10kServer -ScriptBlock { "[$_]" })
        foreach ($piece in 'a', "b`nc", 'd') {
            Send-Talk $talk $piece
            Read-Talk $talk -Count ($piece.Length + 2) | Should -BeExactly "[$piece]"
        }
    }

    It 'marks strings, and what is sent by SendFrame, and nothing else' {
        foreach ($case in @(
                @{ Options = @{ Framing = 'Line' }; Out = "s`nABf`nt" }
                @{ Options = @{ Framing = 'Delimiter'; Delimiter = '--' }; Out = 's--ABf--t' }
                @{ Options = @{ Framing = 'Length'; LengthSize = 1 }; Out = "$([char]1)sAB$([char]1)ft" }
                @{ Options = @{ Framing = 'Fixed'; MessageSize = 1 }; Out = 'sABft' }
                @{ Options = @{ }; Out = 'sABft' })) {
            $options = $case.Options
            $server = Start-C10kServer @options -OnConnect {
                $null = $Connection.Send('s')
                $null = $Connection.Send([byte[]](65, 66))
                $null = $Connection.SendFrame([byte[]](102))
                $null = $Connection.SendText('t')
            } -ScriptBlock { }
            Invoke-Talk $server | Should -BeExactly $case.Out
        }
    }

    It 'of one byte cannot tell of more than 255: that answer is a HandlerError' {
        $server = Start-C10kServer -Framing Length -LengthSize 1 -ScriptBlock { 'x' * $_.Length * 2 }
        Invoke-Talk $server (ConvertTo-Counted 1 ('a' * 127)) | Should -BeExactly (ConvertTo-Counted 1 ('x' * 254))
        Invoke-Talk $server (ConvertTo-Counted 1 ('a' * 128)) | Should -BeNullOrEmpty
        Wait-Until { $server.HandlerErrors -eq 1 }
        $server.LastError | Should -Match 'too long'
    }

    It 'with -AsByteStream gives bytes: <Name>' -ForEach @(
        @{ Name = 'Raw'; Options = @{ }; In = "a`0ÿ"; Out = "Byte[]:97 0 255" }
        @{ Name = 'Line'; Options = @{ Framing = 'Line' }; In = "a`0ÿ`n"; Out = "Byte[]:97 0 255`n" }
        @{ Name = 'Fixed'; Options = @{ Framing = 'Fixed'; MessageSize = 3 }; In = "a`0ÿ"; Out = 'Byte[]:97 0 255' }
    ) {
        $server = Start-C10kServer @Options -AsByteStream -ScriptBlock { "$($_.GetType().Name):$_" }
        Invoke-Talk $server $In | Should -BeExactly $Out
    }

    It 'with -AsByteStream gives back any bytes as they came' {
        $bytes = [byte[]]::new(100000)
        [System.Random]::new(7).NextBytes($bytes)
        $server = Start-C10kServer -AsByteStream -ScriptBlock { , $_ }
        Invoke-Talk $server $bytes | Should -BeExactly ([System.Text.Encoding]::Latin1.GetString($bytes))
    }

    It 'closes on a message over -MaxMessage with MessageTooLong, and says no word of it to the handler: <Name>' -ForEach @(
        @{ Name = 'Line'; Options = @{ Framing = 'Line' }; Good = "1234567890`n"; Bad = '12345678901' }
        @{ Name = 'Delimiter'; Options = @{ Framing = 'Delimiter'; Delimiter = ';' }; Good = '1234567890;'; Bad = '12345678901' }
        @{ Name = 'Length'; Options = @{ Framing = 'Length' }; Good = "`0`0`0$([char]10)1234567890"; Bad = 'ÿÿÿÿ' }
    ) {
        $server = Start-C10kServer @Options -MaxMessage 10 -ScriptBlock { [byte[]](46) }
        $talk = Open-Talk $server
        Send-Talk $talk $Good
        Read-Talk $talk -Count 1 | Should -Be '.'
        Send-Talk $talk $Bad
        Read-Talk $talk | Should -BeNullOrEmpty
        Close-Talk
        Wait-Until { $server.ConnectionCount -eq 0 }
        (Get-C10kConnection -Closed).CloseReason | Should -Be MessageTooLong
        $record = Get-C10kLog $server.Name | Where-Object Message -Match 'more than 10 bytes.*-MaxMessage'
        $record.Level | Should -Be Warning
        $server.LastError | Should -Match 'more than 10 bytes.*-MaxMessage'
        $server.HandlerErrors | Should -Be 0
    }

    It 'closes who does not finish a message within -MessageTimeout, and not who says nothing' {
        $server = Start-C10kServer -Framing Line -MessageTimeout 300ms -ScriptBlock { $_ }
        $slow, $silent = (Open-Talk $server), (Open-Talk $server)
        Send-Talk $slow 'begun'
        Read-Talk $slow | Should -BeNullOrEmpty
        Close-Talk $slow
        Wait-Until { $server.ConnectionCount -eq 1 }
        (Get-C10kConnection -Closed).CloseReason | Should -Be MessageTimeout
        Send-Talk $silent "x`n"
        Read-Talk $silent -Line | Should -Be x
    }

    It 'bounds a message by what goes with it: <Name>' -ForEach @(
        @{ Name = 'lines of this machine'; Options = @{ Framing = 'Line' }; Length = 65536; Seconds = 0 }
        @{ Name = 'lines of others'; Options = @{ Framing = 'Line'; Address = '0.0.0.0' }; Length = 65536; Seconds = 60 }
        @{ Name = 'a delimiter, one address of two not loopback'; Options = @{ Framing = 'Delimiter'; Delimiter = ';'; Address = '127.0.0.1', '::' }; Length = 65536; Seconds = 60 }
        @{ Name = 'a length'; Options = @{ Framing = 'Length'; Address = '127.0.0.2' }; Length = 1048576; Seconds = 0 }
        @{ Name = 'a fixed size on a path'; Options = @{ Framing = 'Fixed'; MessageSize = 9; UnixPath = '/tmp/c10k-bounds' }; Length = 1048576; Seconds = 0 }
        @{ Name = 'values that are given'; Options = @{ Framing = 'Line'; Address = '0.0.0.0'; MaxMessage = 70000; MessageTimeout = 0 }; Length = 70000; Seconds = 0 }
    ) {
        if ($Options.Address -contains '::' -and -not [System.Net.Sockets.Socket]::OSSupportsIPv6) { Set-ItResult -Skipped -Because 'there is no IPv6 here'; return }
        $server = Start-C10kServer @Options -ScriptBlock { 1 }
        $server.Options.MaxMessage | Should -Be $Length
        $server.Options.MessageTimeout.TotalSeconds | Should -Be $Seconds
        $server | Restart-C10kServer
        $server | Set-C10kServer -IdleTimeout 1h
        $server.Options.MaxMessage | Should -Be $Length
        $server.Options.MessageTimeout.TotalSeconds | Should -Be $Seconds
    }

    It 'closes on a line of more than 64 KB where nobody says how long one may be' {
        $server = Start-C10kServer -Framing Line -ScriptBlock { $_.Length }
        $talk = Open-Talk $server
        Send-Talk $talk ('x' * 65536 + "`n")
        Read-Talk $talk -Line | Should -Be 65536
        Send-Talk $talk ('x' * 65538)
        Read-Talk $talk | Should -BeNullOrEmpty
        Close-Talk
        Wait-Until { $server.ConnectionCount -eq 0 }
        (Get-C10kConnection -Closed).CloseReason | Should -Be MessageTooLong
    }

    It 'bounds no message of a protocol that has none: -<Name>' -ForEach @(
        @{ Name = 'MaxMessage'; Options = @{ MaxMessage = 10 } }
        @{ Name = 'MessageTimeout'; Options = @{ Protocol = 'Discard'; MessageTimeout = 10 } }
    ) {
        $caught = try { Start-C10kServer @Options } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'InvalidArgument,C10kServer.Commands.StartC10kServerCommand'
        "$caught" | Should -Match "-$Name is for messages that have an end"
        (Start-C10kServer).Options.$Name | Should -BeNullOrEmpty
    }

    It 'is refused where it is half said: <Says>' -ForEach @(
        @{ Options = @{ Framing = 'Delimiter' }; Says = '-Framing Delimiter needs -Delimiter' }
        @{ Options = @{ Framing = 'Fixed' }; Says = '-Framing Fixed needs -MessageSize' }
        @{ Options = @{ Delimiter = ';' }; Says = '-Delimiter is for -Framing Delimiter' }
        @{ Options = @{ Framing = 'Line'; LengthSize = 2 }; Says = '-LengthSize is for -Framing Length' }
        @{ Options = @{ Framing = 'Line'; ByteOrder = 'LittleEndian' }; Says = '-ByteOrder is for -Framing Length' }
        @{ Options = @{ Framing = 'Line'; MessageSize = 2 }; Says = '-MessageSize is for -Framing Fixed' }
        @{ Options = @{ NewLine = 'CrLf' }; Says = '-NewLine is for -Framing Line' }
        @{ Options = @{ MaxMessage = 10 }; Says = '-MaxMessage is for messages that have an end' }
        @{ Options = @{ MessageTimeout = 10 }; Says = '-MessageTimeout is for messages that have an end' }
        @{ Options = @{ Framing = 'Line'; Encoding = 'unicode' }; Says = 'a line feed in utf-16 has 2' }
        @{ Options = @{ Framing = 'Delimiter'; Delimiter = '|'; Encoding = 'shift_jis' }; Says = 'may stand within a character' }
        @{ Options = @{ Framing = 'Delimiter'; Delimiter = '--'; Encoding = 'gb2312' }; Says = 'may stand within a character' }
        @{ Options = @{ Framing = 'Delimiter'; Delimiter = [version]'1.0' }; Says = 'A delimiter is a string or bytes' }
    ) {
        $caught = try { Start-C10kServer @Options -ScriptBlock { 1 } } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'InvalidArgument,C10kServer.Commands.StartC10kServerCommand'
        "$caught" | Should -Match ([regex]::Escape($Says))
        Get-C10kServer | Should -BeNullOrEmpty
    }
}

Describe '-Encoding' {
    AfterEach {
        Close-Talk
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'is that of the wire, both ways: <Encoding> with <Framing>' -ForEach @(
        foreach ($encoding in 'utf-8', 'iso-8859-1', 'utf-16', 'us-ascii', 'utf-32') {
            foreach ($framing in 'Raw', 'Length', 'Line', 'Delimiter') {
                if ($encoding -notlike 'utf-[13]*' -or $framing -ne 'Line') { @{ Encoding = $encoding; Framing = $framing } }
            }
        }
    ) {
        $text = switch ($Encoding) { 'us-ascii' { 'plain' } 'iso-8859-1' { 'Grüße' } default { 'Grüße, 世界, 😀' } }
        $options = if ($Framing -eq 'Delimiter') { @{ Delimiter = '¦'[0] -as [string] } } else { @{ } }
        if ($Encoding -eq 'us-ascii' -and $options.Count) { $options.Delimiter = '|' }
        $wire = switch ($Framing) {
            'Raw' { ConvertTo-Wire $Encoding $text }
            'Length' { ConvertTo-Counted 4 (ConvertTo-Wire $Encoding $text) }
            'Line' { ConvertTo-Wire $Encoding "$text`n" }
            'Delimiter' { ConvertTo-Wire $Encoding "$text$($options.Delimiter)" }
        }
        $seen = [System.Collections.Concurrent.ConcurrentQueue[object]]::new()
        $server = Start-C10kServer -Framing $Framing -Encoding $Encoding @options -ScriptBlock { ($using:seen).Enqueue($_); $_ }
        Invoke-Talk $server $wire | Should -BeExactly $wire
        $seen | Should -BeExactly $text
        Invoke-Talk $server $wire -Slowly | Should -BeExactly $wire
        $seen.ToArray()[1..99] -join '' | Should -BeExactly $text
    }

    It 'ends no message within a character: <Name>' -ForEach @(
        # The end of one character and the beginning of the next look like the delimiter together.
        @{ Name = 'utf-16'; Encoding = 'unicode'; Delimiter = ';'; Text = "a`u{3b00}`u{6100}b" }
        @{ Name = 'utf-16, big endian'; Encoding = 'bigendianunicode'; Delimiter = ';'; Text = "a`u{6100}`u{3b61}b" }
        @{ Name = 'utf-16, a delimiter of two characters'; Encoding = 'unicode'; Delimiter = "`r`n"; Text = "a`u{0d00}`u{0a00}`u{6100}b" }
        @{ Name = 'utf-16, a delimiter of bytes'; Encoding = 'unicode'; Delimiter = [byte[]](59, 0); Text = "a`u{3b00}`u{6100}b" }
        @{ Name = 'utf-32'; Encoding = 'utf32'; Delimiter = ';'; Text = "a`u{3b00}`u{10000}b" }
    ) {
        $seen = [System.Collections.Concurrent.ConcurrentQueue[object]]::new()
        $server = Start-C10kServer -Framing Delimiter -Delimiter $Delimiter -Encoding $Encoding -ScriptBlock { ($using:seen).Enqueue($_); $_ }
        $mark = if ($Delimiter -is [string]) { ConvertTo-Wire $server.Options.Encoding $Delimiter } else { ';' + "`0" }
        $inner = ConvertTo-Wire $server.Options.Encoding $Text
        $inner.IndexOf($mark, [System.StringComparison]::Ordinal) | Should -BeGreaterThan 0
        Invoke-Talk $server (($inner + $mark) * 3) | Should -BeExactly (($inner + $mark) * 3)
        $seen | Should -BeExactly @($Text, $Text, $Text)
        Invoke-Talk $server ($inner + $mark) -Slowly | Should -BeExactly ($inner + $mark)
        $server.HandlerErrors | Should -Be 0
    }

    It 'holds a character back until it is whole, where bytes come one by one' {
        $seen = [System.Collections.Concurrent.ConcurrentQueue[object]]::new()
        $server = Start-C10kServer -ScriptBlock { ($using:seen).Enqueue($_) }
        Invoke-Talk $server ([System.Text.Encoding]::UTF8.GetBytes('ü世😀a')) -Slowly | Should -BeNullOrEmpty
        $seen | Should -BeExactly @('ü', '世', '😀', 'a')
    }

    It 'puts the mark of what is no character in its place, and goes on' {
        $server = Start-C10kServer -Framing Line -ScriptBlock { "$($_.Length) $([int]$_[1] -eq 0xFFFD)" }
        Invoke-Talk $server "aÿb`n" | Should -BeExactly "3 True`n"
    }
}
