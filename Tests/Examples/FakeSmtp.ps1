#Requires -Modules C10kServer

<#
.SYNOPSIS
    A mail server for tests, which delivers nothing: the server that it writes has all mails in Messages, with From, To and Data.
.EXAMPLE
    $smtp = ./FakeSmtp.ps1; Send-Report -SmtpPort $smtp.Port; $smtp.Messages | Where-Object To -EQ 'boss@example.org'
#>
[CmdletBinding()] [OutputType('C10kServer.Server')]
param([string[]] $Address = '127.0.0.1', [ValidateRange(0, 65535)] [int] $Port = 0)
$messages = [System.Collections.Concurrent.ConcurrentQueue[object]]::new()
$server = Start-C10kServer -Address $Address -Port $Port -Framing Delimiter -Delimiter "`r`n" -OnConnect { '220 fake ESMTP' } -ScriptBlock {
    $mail = $ConnectionState
    if ($mail.Contains('Data')) {
        if ($_ -ne '.') { $null = $mail.Data.Add(($_ -replace '^\.')); return }
        ($using:messages).Enqueue([pscustomobject]@{ From = $mail.From; To = $mail.To; Data = $mail.Data -join "`r`n" })
        $mail.Clear(); return '250 Kept'
    }
    switch -Regex ($_) {
        '[\r\n]' { '500 Only CR and LF together end a line'; break }
        '^(RSET|HELO .*|EHLO .*)$' { $mail.Clear(); '250 OK' }
        '^MAIL FROM:\s*<(.*?)>' { $mail.From, $mail.To = $Matches[1], @(); '250 OK' }
        '^RCPT TO:\s*<(.+?)>' { if ($mail.Contains('From')) { $mail.To += $Matches[1]; '250 OK' } else { '503 MAIL first' } }
        '^DATA$' { if ($mail.To) { $mail.Data = [System.Collections.ArrayList]::new(); '354 Go on' } else { '503 RCPT first' } }
        '^NOOP\b' { '250 OK' }
        '^QUIT$' { '221 Bye'; $Connection.Close() }
        default { '500 Unknown' }
    }
}
$server | Add-Member -NotePropertyName Messages -NotePropertyValue $messages -PassThru
